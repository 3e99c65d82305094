"""What must happen at once in Redis, as Lua scripts over the job records.

Those of a chunk's way through a worker are in ``turn_scripts``. Keys, all beginning with
``steerboard:``; a *member* is ``job:chunk``:

    job:J     hash   the record of job J
    todo:J    list   accepted chunks that are not handed out yet
    done:J    set    finished chunks
    tries:J   hash   by chunk: begun and not heard of again, too slow, failed, and since when;
                     whether it was put back with work half done
    times:J   list   when the last chunks were finished
    for:J     set    the subjects of tokens who wait for J
    mine:S    zset   jobs of subject S by the second they were asked for
    held:T    list   the members that a delivered message T is at, so that its redelivery finds
                     them: the last, and the one before while its result is being stored
    open      set    jobs that have not ended
    turn:L    list   the ring of callers with work in lane L
    line:L:C  list   jobs of caller C in lane L, first come first served
    credit:L  hash   by caller: pictures that may still be handed out this turn
    out:L     zset   members handed out to Celery, by the second they were
    ahead:L   set    those among them that a hand has taken while it is at another
    later     zset   members that wait for another try, by the second they are due

A job of several chunks is closed by its last one, which puts the others together and is handed out
when they are done. The keys of one job cannot be named beforehand by the ring, so the broker is one
server (with replicas if need be) and no cluster.
"""

SHARED = """
local function key(kind, name) return 'steerboard:' .. kind .. ':' .. name end
local function ended(state)
  return not state or state == 'done' or state == 'failed' or state == 'cancelled'
end
local function push(list, item, first)
  if redis.call('LPOS', list, item) then return end
  redis.call(first and 'LPUSH' or 'RPUSH', list, item)
end
local function priority(job)
  return tonumber(job and redis.call('HGET', key('job', job), 'priority') or 0) or 0
end
local function line_up(line, job, first)  -- before those of lower priority; first: of the same too
  if redis.call('LPOS', line, job) then return end
  local own = priority(job)
  if first and priority(redis.call('LINDEX', line, 0)) <= own then
    redis.call('LPUSH', line, job)
    return
  end
  if not first and priority(redis.call('LINDEX', line, -1)) >= own then
    redis.call('RPUSH', line, job)
    return
  end
  for _, other in ipairs(redis.call('LRANGE', line, 0, -1)) do
    local theirs = priority(other)
    if theirs < own or (first and theirs == own) then
      redis.call('LINSERT', line, 'BEFORE', other, job)
      return
    end
  end
  redis.call('RPUSH', line, job)
end
local function enlist(job, first)
  local found = redis.call('HMGET', key('job', job), 'lane', 'caller')
  line_up(key('line', found[1] .. ':' .. found[2]), job, first)
  push(key('turn', found[1]), found[2], false)
end
local function back(member)
  local job, chunk = string.match(member, '^(.*):(%d+)$')
  if ended(redis.call('HGET', key('job', job), 'state')) then return end
  push(key('todo', job), chunk, true)
  enlist(job, true)
end
local function limit(found)  -- chunks that may be handed out before the closing one
  local total = tonumber(found)
  return total > 1 and total - 1 or total
end
local function close(job, state, ...)
  redis.call('HSET', key('job', job), 'state', state, ...)
  redis.call('HDEL', key('job', job), 'spec')
  redis.call('DEL', key('todo', job), key('tries', job))
  redis.call('SREM', 'steerboard:open', job)
end
local function forget(member)  -- answers whether it was handed out
  local out = 0
  for _, lane in ipairs({'interactive', 'bulk'}) do
    out = out + redis.call('ZREM', key('out', lane), member)
    redis.call('SREM', key('ahead', lane), member)
  end
  redis.call('ZREM', 'steerboard:later', member)
  return out > 0
end
local function keep(job, seconds)
  for _, kind in ipairs({'job', 'todo', 'done', 'tries', 'times', 'for'}) do
    redis.call('EXPIRE', key(kind, job), seconds)
  end
end
"""

# job, subject, seconds to keep, now, total, lane, jobs a caller may have waiting, when a record was
# opened whose results are gone (or nothing), priority, caller (of a page that speaks for people
# each of them is one, with turns of their own), then fields and values of the record. Who joins
# with a higher priority raises it. "again" says that there was a record before, and so perhaps
# some work.
# Answers "new", "full", or the state of the one that runs or is done.
OPEN = (
    SHARED
    + """
local job, subject, total, caller = ARGV[1], ARGV[2], tonumber(ARGV[5]), ARGV[10]
local found = redis.call('HMGET', key('job', job), 'state', 'opened')
local state = found[1]
local gone = state == 'done' and found[2] == ARGV[8]
local here = state and not gone and state ~= 'failed' and state ~= 'cancelled'
if not here and redis.call('LLEN', key('line', ARGV[6] .. ':' .. caller)) >= tonumber(ARGV[7]) then
  return 'full'
end
if not here then
  for _, kind in ipairs({'job', 'todo', 'done', 'tries', 'times', 'for'}) do
    redis.call('DEL', key(kind, job))
  end
end
redis.call('SADD', key('for', job), subject)
redis.call('ZADD', key('mine', subject), ARGV[4], job)
redis.call('ZREMRANGEBYRANK', key('mine', subject), 0, -1001)
redis.call('EXPIRE', key('mine', subject), ARGV[3])
if here then
  if not ended(state) and tonumber(ARGV[9]) > priority(job) then
    local record = redis.call('HMGET', key('job', job), 'lane', 'caller')
    redis.call('HSET', key('job', job), 'priority', ARGV[9])
    local line = key('line', record[1] .. ':' .. record[2])
    if redis.call('LREM', line, 0, job) > 0 then enlist(job, false) end
  end
  keep(job, ARGV[3])
  return state
end
redis.call('HSET', key('job', job), 'state', 'queued', 'opened', ARGV[4], 'total', total,
           'caller', caller, 'lane', ARGV[6], 'priority', ARGV[9], 'again', state and 1 or 0,
           unpack(ARGV, 11))
for chunk = 0, limit(total) - 1 do redis.call('RPUSH', key('todo', job), chunk) end
redis.call('SADD', 'steerboard:open', job)
enlist(job, false)
keep(job, ARGV[3])
return 'new'
"""
)

# job, chunk, now, kind, longest wait. Puts a chunk back: at once where it was "unsent" or there was
# progress ("more"), else ("slow", "failed") later and later. Answers since when it fails.
DEFER = (
    SHARED
    + """
local job, chunk, now, kind = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local member, tries = job .. ':' .. chunk, key('tries', job)
forget(member)
if ended(redis.call('HGET', key('job', job), 'state')) then return tostring(now) end
if kind == 'unsent' then
  back(member)
  return tostring(now)
end
redis.call('HDEL', tries, chunk .. ':begun')
redis.call('HSET', tries, chunk .. ':part', 1)
if kind == 'more' then
  redis.call('HDEL', tries, chunk .. ':failed', chunk .. ':since')
  back(member)
  return tostring(now)
end
if kind == 'slow' then redis.call('HINCRBY', tries, chunk .. ':slow', 1) end
local count = redis.call('HINCRBY', tries, chunk .. ':failed', 1)
redis.call('HSETNX', tries, chunk .. ':since', now)
local wait = math.min(tonumber(ARGV[5]), 0.5 * 2 ^ math.min(count - 1, 10))
redis.call('ZADD', 'steerboard:later', now + wait, member)
return redis.call('HGET', tries, chunk .. ':since')
"""
)

# job, state, error as JSON, sentence. Closes a job that has not ended; answers whether it is there.
END = (
    SHARED
    + """
local job = ARGV[1]
local found = redis.call('HMGET', key('job', job), 'state', 'lane', 'total')
if not found[1] then return 0 end
if not ended(found[1]) then
  close(job, ARGV[2], 'error', ARGV[3], 'message', ARGV[4])
  for chunk = 0, tonumber(found[3]) - 1 do forget(job .. ':' .. chunk) end
end
return 1
"""
)

# job, subject. One no longer waits; answers how many still do, or -1 where it never did.
LEAVE = (
    SHARED
    + """
if redis.call('SREM', key('for', ARGV[1]), ARGV[2]) == 0 then return -1 end
return redis.call('SCARD', key('for', ARGV[1]))
"""
)

# lane, now, and the ages in seconds after which a member is taken for lost while the queue is
# empty, and while it is not (then it may only be slow). Answers such members, and counts them as
# handed out anew. Not to be asked while nothing consumes the queue: then nothing is lost from it.
STALE = (
    SHARED
    + """
local lane, now = ARGV[1], tonumber(ARGV[2])
local age = redis.call('LLEN', lane) == 0 and ARGV[3] or ARGV[4]
local out = key('out', lane)
local found = redis.call('ZRANGEBYSCORE', out, '-inf', now - tonumber(age))
for _, member in ipairs(found) do redis.call('ZADD', out, now, member) end
return found
"""
)

# job. Accepted chunks that are nowhere: not done, not waiting, not out. Puts them back.
MEND = (
    SHARED
    + """
local job = ARGV[1]
local found = redis.call('HMGET', key('job', job), 'state', 'total', 'lane')
if ended(found[1]) then redis.call('SREM', 'steerboard:open', job) return 0 end
local total, done = tonumber(found[2]), redis.call('SCARD', key('done', job))
if done >= total then close(job, 'done') return 0 end
local seen, mended = {}, 0
for _, chunk in ipairs(redis.call('LRANGE', key('todo', job), 0, -1)) do seen[chunk] = true end
for _, chunk in ipairs(redis.call('SMEMBERS', key('done', job))) do seen[chunk] = true end
local last = done >= limit(total) and total - 1 or limit(total) - 1
for chunk = 0, last do
  local name = tostring(chunk)
  local member = job .. ':' .. name
  if not seen[name] and not redis.call('ZSCORE', key('out', found[3]), member)
      and not redis.call('ZSCORE', 'steerboard:later', member) then
    back(member)
    mended = mended + 1
  end
end
if redis.call('LLEN', key('todo', job)) > 0 then enlist(job, false) end
return mended
"""
)
