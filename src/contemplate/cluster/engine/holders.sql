SELECT DISTINCT executor_id FROM {schema}.workflow_status WHERE status = 'PENDING'
