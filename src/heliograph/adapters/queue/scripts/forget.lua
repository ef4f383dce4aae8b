-- Removes the results of many final jobs. ARGV: memory ms, ids. Returns how many there were.
local memory_ms, forgotten = tonumber(ARGV[1]), 0
for at = 2, #ARGV do
  local job = read_job(ARGV[at], 'result_size', 'expired', unpack(JOB))
  if FINAL[job.state] and not job.expired then
    forget_result(job, memory_ms)
    forgotten = forgotten + 1
  end
end
write_notes()
return forgotten
