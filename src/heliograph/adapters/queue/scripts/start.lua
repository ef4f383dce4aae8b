-- A worker begins with jobs that were delivered to it. ARGV: worker, max attempts, keep ms, how many bytes a payload
--   and all together may have to come along, then for each: id, entry, priority, token
-- Returns for each attempt, name, model, parameters and payload, or nothing if it is not this worker's to begin. In
-- place of a larger payload stands its size; nothing in place of one that is lost.
local worker, max_attempts, keep_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most, room = tonumber(ARGV[4]), tonumber(ARGV[5])
local answers = {}

local function answer_of(job, attempt)
  local size = redis.call('STRLEN', payload_key(job.id))
  local payload = size
  if size <= most and size <= room then
    room = room - size
    payload = redis.call('GET', payload_key(job.id))
  end
  return {attempt, job.name, job.model, job.parameters, payload}
end

for at = 6, #ARGV, 4 do
  local id, entry, stream, token = ARGV[at], ARGV[at + 1], stream_key(ARGV[at + 2]), ARGV[at + 3]
  local answer = false
  if holds(stream, entry, worker) then
    local job = read_job(id, 'name', 'model', 'parameters', 'code', unpack(JOB))
    local attempts = tonumber(job.attempts)
    if not after(job, 'start') or job.entry ~= entry then
      append(leaving, stream, entry) -- cancelled before it was delivered
    elseif job.state == 'running' and job.token == token then
      answer = answer_of(job, attempts) -- the same call again
    elseif attempts >= max_attempts then
      local message = 'Its worker was lost in each of ' .. attempts .. ' attempts.'
      local problem = job.code and {} or {'code', 'attempts-exhausted', 'message', message}
      settle(job, 'exhaust', keep_ms, worker, unpack(problem))
    else
      if job.state == 'running' then count('redelivered', 1) end
      redis.call('HSET', job_key(id), 'state', move(job, 'start'), 'token', token, 'worker', worker,
        'attempts', attempts + 1, 'started', now)
      tell('started', job, worker)
      answer = answer_of(job, attempts + 1)
    end
  end
  answers[#answers + 1] = answer
end
write_notes()
return answers
