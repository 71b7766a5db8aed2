-- One by one, as each has an index of its own: most rows are of runs that are over.
WITH waiting AS (
    SELECT queue_name, status, created_at FROM {schema}.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')
    UNION ALL
    SELECT queue_name, status, created_at FROM {schema}.workflow_status WHERE status = 'DELAYED'
)
SELECT queue_name,
    count(*) FILTER (WHERE status <> 'PENDING'),
    count(*) FILTER (WHERE status = 'PENDING'),
    coalesce(extract(epoch FROM now()) - min(created_at) FILTER (WHERE status <> 'PENDING') / 1000.0, 0)
FROM waiting
WHERE queue_name IS NOT NULL
GROUP BY queue_name ORDER BY queue_name
