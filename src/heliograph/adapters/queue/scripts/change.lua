-- What a client does to a job. ARGV: id, action (cancel, requeue, acknowledge), keep ms, memory ms, max jobs,
--   share of it that is open to bulk
-- Returns by how many jobs the queue is over its bound, so that one could not be requeued; 0 otherwise.
local id, action, keep_ms, memory_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local job = read_job(id, 'result_size', 'expired', unpack(JOB))

if action == 'cancel' and after(job, 'cancel') then
  if not holds(stream_key(job.priority), job.entry) then job.entry = false end -- its reader takes it out
  settle(job, 'cancel', keep_ms)
elseif action == 'requeue' and after(job, 'requeue') and redis.call('EXISTS', payload_key(id)) == 1 then
  local open = 1
  for _, number in ipairs(redis.call('HMGET', counters_key, 'queued:interactive', 'queued:bulk',
    'running:interactive', 'running:bulk')) do open = open + (number or 0) end
  local over = open - ARGV[5] * (job.priority == 'bulk' and ARGV[6] or 1)
  if over > 0 then return math.ceil(over) end
  local entry = redis.call('XADD', stream_key(job.priority), '*', 'job', id)
  redis.call('HDEL', job_key(id), 'code', 'message', 'finished', 'started', 'worker', 'token')
  for _, list in ipairs(sought_lists(job)) do redis.call('ZREM', list, id) end
  redis.call('HSET', job_key(id), 'state', move(job, 'requeue'), 'attempts', 0, 'entry', entry)
  redis.call('ZREM', timetable_key, id)
  tell('requeued', job)
elseif action == 'acknowledge' and FINAL[job.state] and not job.expired then
  forget_result(job, memory_ms)
end
write_notes()
return 0
