-- A worker gives back what it holds, for the next reclaim to find. ARGV: worker, event (hand-back, retry),
--   max attempts, keep ms, code, message, whether only a worker with the model is to have it ('1' or '0'), then for each:
--   id, entry, priority, token ('' if the job was not begun)
-- Returns for each 1, or 0 if it was lost.
local worker, event, max_attempts, keep_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local problem, lacks_model = {'code', ARGV[5], 'message', ARGV[6]}, ARGV[7] == '1'
local given, answers = {}, {}

local function give(id, stream, entry)
  local consumer = lacks_model and WAITING_FOR .. (redis.call('HGET', job_key(id), 'model') or '') or NOBODY
  given[consumer] = given[consumer] or {}
  append(given[consumer], stream, entry)
end

for at = 8, #ARGV, 4 do
  local id, entry, stream, token = ARGV[at], ARGV[at + 1], stream_key(ARGV[at + 2]), ARGV[at + 3]
  local job, mine = read_job(id, unpack(JOB)), true
  if token == '' then
    mine = holds(stream, entry, worker)
    if mine then give(id, stream, entry) end
  elseif job.token ~= token or not after(job, event) then
    mine = job.token == token and (job.state == 'queued' or job.state == 'dead') -- the same call again
  elseif event == 'hand-back' then
    redis.call('HSET', job_key(id), 'state', move(job, event), 'attempts', job.attempts - 1)
    give(id, stream, entry)
    tell('returned', job, worker)
  elseif tonumber(job.attempts) >= max_attempts then
    settle(job, 'exhaust', keep_ms, worker, unpack(problem))
  else
    redis.call('HSET', job_key(id), 'state', move(job, event), unpack(problem))
    give(id, stream, entry)
    tell('returned', job, worker)
  end
  answers[#answers + 1] = mine and 1 or 0
end
for consumer, streams in pairs(given) do
  for stream, entries in pairs(streams) do claim(stream, consumer, entries) end
end
write_notes()
return answers
