-- Removes what is over: results, later the memory of their jobs, and workers that went away. Mends a wrong lag.
-- ARGV: limit, memory ms, max memories, idle worker ms, silence in ms after which a worker is lost, and forgotten.
-- Returns how many results and memories.
local limit, memory_ms, max_memories, idle_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local over = redis.call('ZRANGEBYSCORE', timetable_key, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(over) do
  local job = read_job(id, 'state', 'owner', 'size', 'result_size')
  if job.state then forget_result(job, memory_ms) else redis.call('ZREM', timetable_key, id) end
end

local too_old = redis.call('ZCOUNT', memories_key, '-inf', now)
local too_many = redis.call('ZCARD', memories_key) - max_memories
local last = math.min(limit, math.max(too_old, too_many)) - 1
local old = last < 0 and {} or redis.call('ZRANGE', memories_key, 0, last)
for _, id in ipairs(old) do
  local group = redis.call('HGET', job_key(id), 'group')
  redis.call('ZREM', memories_key, id)
  redis.call('DEL', job_key(id))
  if group and redis.call('HINCRBY', group_key(group), 'known', -1) <= 0 then
    redis.call('DEL', group_key(group), members_key(group))
  end
end

-- Tells of workers that have fallen silent, and forgets them later.
local silent = redis.call('ZRANGEBYSCORE', beats_key, '-inf', now - ARGV[5], 'WITHSCORES', 'LIMIT', 0, limit)
for i = 1, #silent, 2 do
  redis.call('ZREM', beats_key, silent[i])
  redis.call('ZADD', lost_key, silent[i + 1], silent[i])
  add_event('worker-lost', silent[i], 'detail', 'gone')
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', lost_key, '-inf', now - ARGV[6], 'LIMIT', 0, limit)) do
  redis.call('ZREM', lost_key, name)
  redis.call('HDEL', workers_key, name)
end

-- Removes the names of workers that hold nothing and have not read for long.
local function forget_workers(stream)
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    local worker = named(flat)
    if worker.pending == 0 and worker.idle > idle_ms and worker.name ~= NOBODY then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, worker.name)
    end
  end
end

-- Redis 7.0 does not keep how much was read over a restart, and tells a wrong lag after it, or none. What is in the
-- stream tells the right one.
local function mend_lag(stream, facts)
  local undelivered = redis.call('XLEN', stream) - facts.pending - redis.call('HEXISTS', kept_key, stream)
  if facts.lag == undelivered then return end
  local added = named(redis.call('XINFO', 'STREAM', stream))['entries-added']
  redis.call('XGROUP', 'SETID', stream, GROUP, facts['last-delivered-id'], 'ENTRIESREAD', added - undelivered)
end

-- Autoscalers read the streams before the first job comes.
if redis.call('EXISTS', stream_key('interactive'), stream_key('bulk')) < 2 then make_groups() end

-- A list of a thousand workers takes the server milliseconds, so it is asked for now and then only.
local is_time = redis.call('SET', roll_call_key, now, 'NX', 'PX', math.ceil(idle_ms / 2))
for _, priority in ipairs(PRIORITIES) do
  local stream = stream_key(priority)
  local facts = facts_of(stream)
  if facts then
    if is_time then forget_workers(stream) end
    mend_lag(stream, facts)
  end
end
write_notes()
return #over + #old
