-- What the scripts share; stands before each of them, after the names of the keys and the table of states.
--
-- A script goes through jobs one by one, and notes what has to be written about several of them together: counters,
-- groups, entries that leave their stream, answers for gateways, events, how long they took. `write_notes` at its end
-- writes each once.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local span = math.floor(now / SPAN_MS)

local counted, grouped, leaving, due, replies, told, notes, took = {}, {}, {}, {}, {}, {}, {}, {}

local JOB = {'state', 'group', 'owner', 'priority', 'entry', 'reply', 'token', 'attempts', 'size', 'accepted'}

-- A job's fields by name; without a state where there is no such job.
local function read_job(id, ...)
  local names = {...}
  local values, job = redis.call('HMGET', job_key(id), unpack(names)), {id = id}
  for i, name in ipairs(names) do job[name] = values[i] end
  return job
end

-- The state that an event leads to, or nothing if it may not happen.
local function after(job, event)
  return job.state and NEXT[job.state][event]
end

local function append(lists, name, one)
  local list = lists[name] or {}
  lists[name], list[#list + 1] = list, one
end

local function add(tally, name, by)
  tally[name] = (tally[name] or 0) + by
end

local function count(name, by)
  add(counted, name, by)
end

local function counter_of(job, state)
  return FINAL[state] and state or state .. ':' .. job.priority
end

-- Lets an event happen to a job, which must allow it: counts, and says the new state. The caller writes it.
local function move(job, event)
  local old, new = job.state, NEXT[job.state][event]
  local group = grouped[job.group] or {}
  grouped[job.group] = group
  add(group, old, -1)
  add(group, new, 1)
  count(counter_of(job, old), -1)
  count(counter_of(job, new), 1)
  job.state = new
  return new
end

local function tell(kind, job, worker)
  local name = kind .. ' ' .. job.group
  if not notes[name] then
    notes[name] = {kind = kind, worker = worker or '', group = job.group, owner = job.owner, ids = {}}
    told[#told + 1] = notes[name]
  end
  local ids = notes[name].ids
  ids[#ids + 1] = job.id
end

-- Adds an event at once; further fields and values belong to it.
local function add_event(kind, worker, ...)
  redis.call('XADD', events_key, 'MAXLEN', '~', 10000, '*', 'kind', kind, 'worker', worker, ...)
end

-- Whether a consumer holds an entry; any consumer, if none is named.
local function holds(stream, entry, ...)
  local found = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1, ...)
  return not found.err and #found == 1
end

-- The lists of a job in a final state other than done, which people look for: everybody's, and its owner's.
local function sought_lists(job)
  return {sought_key(job.state), sought_key(job.state .. ':' .. job.owner)}
end

-- The bin of a duration; `bin_of` of core/durations.
local function bin_of(ms)
  return ms > 1 and math.min(LAST_BIN, math.ceil(math.log(ms) / LOG_GAMMA)) or 0
end

-- Makes a job final; further fields and values are written with it. Its payload goes at once, unless it is dead and
-- may be queued again. A gateway that waits is told its id, or `job.answer` with it. Its entry must have been
-- delivered, or be false: deleting others makes a lag unknown.
local function settle(job, event, keep_ms, worker, ...)
  local state, size = move(job, event), job.size
  if state ~= 'dead' then
    redis.call('UNLINK', payload_key(job.id))
    count('bytes', -size)
    size = 0
  end
  redis.call('HSET', job_key(job.id), 'state', state, 'finished', now, 'size', size, ...)
  local rank = state ~= 'done' and redis.call('ZSCORE', everybody_key, job.id)
  for _, list in ipairs(rank and sought_lists(job) or {}) do redis.call('ZADD', list, rank, job.id) end
  if state ~= 'cancelled' then add(took, bin_of(now - job.accepted), 1) end
  due[#due + 1] = now + keep_ms
  due[#due + 1] = job.id
  if job.entry then append(leaving, stream_key(job.priority), job.entry) end
  if job.reply ~= '' then append(replies, replies_key(job.reply), job.answer or job.id) end
  tell(state, job, worker)
end

-- Calls a command with a list at its end, in parts that fit Lua's stack.
local function call_with(list, ...)
  for first = 1, #list, 1000 do
    local part = {...}
    for i = first, math.min(first + 999, #list) do part[#part + 1] = list[i] end
    redis.call(unpack(part))
  end
end

-- Gives entries to a consumer, their leases anew.
local function claim(stream, consumer, entries)
  for first = 1, #entries, 1000 do
    local last = math.min(first + 999, #entries)
    local part = {unpack(entries, first, last)}
    part[#part + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, GROUP, consumer, 0, unpack(part))
  end
end

-- What the server tells as names and values in turn.
local function named(flat)
  local facts = {}
  for i = 1, #flat, 2 do facts[flat[i]] = flat[i + 1] end
  return facts
end

-- What it tells of a stream's consumer group; nothing if there is none.
local function facts_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local facts = named(flat)
    if facts.name == GROUP then return facts end
  end
end

-- Takes delivered entries out of a stream. While older ones are held, the one that was delivered last stays for now:
-- servers tell no lag any more when it is deleted before them.
local function take_out(stream, entries)
  call_with(entries, 'XACK', stream, GROUP)
  local facts, kept = facts_of(stream), redis.call('HGET', kept_key, stream)
  local stays, gone = false, {}
  if kept then entries[#entries + 1] = kept end
  for _, entry in ipairs(entries) do
    if facts.pending > 0 and entry == facts['last-delivered-id'] then stays = entry else gone[#gone + 1] = entry end
  end
  call_with(gone, 'XDEL', stream)
  if stays then redis.call('HSET', kept_key, stream, stays) elseif kept then redis.call('HDEL', kept_key, stream) end
end

local function write_notes()
  for name, by in pairs(counted) do
    if by ~= 0 then redis.call('HINCRBY', counters_key, name, by) end
  end
  for group, states in pairs(grouped) do
    for state, by in pairs(states) do
      if by ~= 0 then redis.call('HINCRBY', group_key(group), state, by) end
    end
  end
  for bin, jobs in pairs(took) do redis.call('HINCRBY', durations_key(span), bin, jobs) end
  if next(took) then redis.call('PEXPIRE', durations_key(span), (SPANS_BEFORE + 2) * SPAN_MS) end
  call_with(due, 'ZADD', timetable_key)
  for stream, entries in pairs(leaving) do take_out(stream, entries) end
  for list, ids in pairs(replies) do
    call_with(ids, 'LPUSH', list)
    redis.call('PEXPIRE', list, 60000)
  end
  for _, note in ipairs(told) do
    add_event(note.kind, note.worker, 'group', note.group, 'owner', note.owner, 'jobs', table.concat(note.ids, ' '))
  end
end

-- The consumer groups of both streams, at 0 so that what was stored before counts.
local function make_groups()
  for _, priority in ipairs(PRIORITIES) do
    redis.pcall('XGROUP', 'CREATE', stream_key(priority), GROUP, '0', 'MKSTREAM')
  end
end

-- What the server uses of its memory, and its limit; 0 where it has none or does not tell.
local function memory_of_server()
  local info = redis.pcall('INFO', 'memory')
  if info.err then return 0, 0 end
  return tonumber(info:match('used_memory:(%d+)')) or 0, tonumber(info:match('\nmaxmemory:(%d+)')) or 0
end

-- Whether results take too much room, so that bulk has to wait until some have gone. They have to be a third of what is
-- stored: less than that does not make room, and work does.
local function has_to_wait(priority, max_bytes, max_share)
  if priority ~= 'bulk' then return false end
  local stored = redis.call('HMGET', counters_key, 'bytes', 'results')
  local bytes, results = tonumber(stored[1]) or 0, tonumber(stored[2]) or 0
  if 3 * results <= bytes then return false end
  if bytes > tonumber(max_bytes) then return true end
  local used, limit = memory_of_server()
  return limit > 0 and used > limit * max_share
end

-- Removes what a final job answered, and its picture. What stays says that there was such a job.
local function forget_result(job, memory_ms)
  local key = job_key(job.id)
  count('bytes', -((job.size or 0) + (job.result_size or 0)))
  count('results', -(job.result_size or 0))
  count('expired', 1)
  redis.call('ZREM', timetable_key, job.id)
  redis.call('ZREM', everybody_key, job.id)
  redis.call('ZREM', index_key(job.owner), job.id)
  for _, list in ipairs(job.state ~= 'done' and sought_lists(job) or {}) do redis.call('ZREM', list, job.id) end
  local rest = {'expired', 1}
  local kept = {'state', 'group', 'owner', 'name', 'model', 'priority', 'attempts', 'worker', 'token', 'accepted',
    'started', 'finished'}
  for i, value in ipairs(redis.call('HMGET', key, unpack(kept))) do
    if value then
      rest[#rest + 1] = kept[i]
      rest[#rest + 1] = value
    end
  end
  redis.call('UNLINK', key, payload_key(job.id), result_key(job.id))
  redis.call('HSET', key, unpack(rest))
  redis.call('ZADD', memories_key, now + memory_ms, job.id)
end
