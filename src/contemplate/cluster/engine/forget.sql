WITH gone AS (
    DELETE FROM {schema}.workflow_status
    WHERE workflow_uuid = :run AND status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING')
    RETURNING workflow_uuid
), inputs AS (
    DELETE FROM {schema}.workflow_input WHERE workflow_uuid IN (SELECT workflow_uuid FROM gone)
)
DELETE FROM {schema}.workflow_output WHERE workflow_uuid IN (SELECT workflow_uuid FROM gone)
