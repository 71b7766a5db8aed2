SELECT queue_name,
    count(*) FILTER (WHERE status <> 'PENDING'),
    count(*) FILTER (WHERE status = 'PENDING'),
    coalesce(extract(epoch FROM now()) - min(created_at) FILTER (WHERE status <> 'PENDING') / 1000.0, 0)
FROM {schema}.workflow_status
WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING') AND queue_name IS NOT NULL
GROUP BY queue_name ORDER BY queue_name
