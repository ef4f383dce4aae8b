-- Gives up what a worker held that is gone, and removes its name; in one step, for what a removed consumer holds would
-- be lost. Its heartbeat is forgotten. ARGV: worker. Returns how many jobs it held.
local worker, held = ARGV[1], 0
for _, priority in ipairs(PRIORITIES) do
  local stream = stream_key(priority)
  repeat
    local found = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1000, worker)
    local entries = {}
    if not found.err then
      for i, one in ipairs(found) do entries[i] = one[1] end
      claim(stream, NOBODY, entries)
    end
    held = held + #entries
  until #entries == 0
  redis.pcall('XGROUP', 'DELCONSUMER', stream, GROUP, worker)
end
redis.call('ZREM', beats_key, worker)
redis.call('ZREM', lost_key, worker)
if redis.call('HDEL', workers_key, worker) == 1 then add_event('worker-down', worker, 'detail', 'gone') end
return held
