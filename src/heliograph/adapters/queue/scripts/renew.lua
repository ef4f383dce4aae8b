-- Renews leases. ARGV: worker, then for each: id, entry, priority, token ('' if the job was not begun)
-- Returns a verdict for each. A job that was begun stays its worker's when another has claimed it and not begun.
local worker, verdicts, mine = ARGV[1], {}, {}
for at = 2, #ARGV, 4 do
  local id, entry, stream, token = ARGV[at], ARGV[at + 1], stream_key(ARGV[at + 2]), ARGV[at + 3]
  local job = read_job(id, 'state', 'token')
  local held = job.state == 'running' and job.token == token
  if token == '' then held = after(job, 'start') and holds(stream, entry, worker) end
  if held then
    append(mine, stream, entry)
    verdicts[#verdicts + 1] = 'mine'
  else
    verdicts[#verdicts + 1] = job.state == 'cancelled' and 'cancelled' or 'lost'
  end
end
for stream, entries in pairs(mine) do claim(stream, worker, entries) end
return verdicts
