"""What Redis does for a mailbox, each in one step and on Redis's own clock.

The keys are one mailbox's, in the order of `KEYS`; every one of them ends by itself. All numbers,
in and out, are integers: bytes, and milliseconds.
"""

# What begins within so much of the window is one entry: five seconds of five minutes. It leaves the
# window at its end. Each look sums the entries up, and so there are fewer than in a process.
GRAINS = 60

# slots  those who have a slot, each with the end of its lease
# queue   those who wait, each with the microsecond of its arrival
# leases  those who wait, each with the end of its lease
# bytes   what began in each grain of the window
# pause   there as long as nobody may begin
PARTS = ("slots", "queue", "leases", "bytes", "pause")

# What ENTER answers: one of these, and a number.
BEGUN = 0  # the grain in which the bytes were counted, or -1 if they were before
PAUSED = 1  # for so long
BYTES_REACHED = 2  # for so long
CONCURRENT_REACHED = 3  # 0

_COMMON = f"""
local slots, queue, leases, bytes, pause = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- How long until so many bytes fit, which are no more than the limit.
local function bytes_wait(size, limit, window)
  if limit == 0 or size == 0 then return 0 end
  local sum, begun = 0, {{}}
  local counted = redis.call('HGETALL', bytes)
  for i = 1, #counted, 2 do
    local gone = (counted[i] + 1) * window / {GRAINS} + window
    if gone <= now then
      redis.call('HDEL', bytes, counted[i])
    else
      sum = sum + counted[i + 1]
      begun[#begun + 1] = {{gone, tonumber(counted[i + 1])}}
    end
  end
  local excess, wait = sum + size - limit, 0
  if excess <= 0 then return 0 end
  table.sort(begun, function(one, other) return one[1] < other[1] end)
  for _, entry in ipairs(begun) do
    if excess <= 0 then break end
    excess = excess - entry[2]
    wait = math.ceil(entry[1] - now)
  end
  return wait
end
"""

# ARGV: ticket, its bytes, slots (0: any number), bytes in the window (likewise), the window, lease
# of a slot, lease of a ticket.
# Begins, or joins the queue, or renews the lease there.
ENTER = (
    _COMMON
    + f"""
local ticket = ARGV[1]
local size, concurrent, limit, window = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5])
local slot_lease, ticket_lease = tonumber(ARGV[6]), tonumber(ARGV[7])

if redis.call('ZSCORE', slots, ticket) then return {{{BEGUN}, -1}} end
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
  redis.call('ZREM', queue, dead)
  redis.call('ZREM', leases, dead)
end

local paused = redis.call('PTTL', pause)
local reached = bytes_wait(size, limit, window)
local wait, why = 0, {CONCURRENT_REACHED}
if paused > 0 and paused >= reached then
  wait, why = paused, {PAUSED}
elseif reached > 0 then
  wait, why = reached, {BYTES_REACHED}
end

local head = redis.call('ZRANGE', queue, 0, 0)[1] or ticket
local full = concurrent > 0 and redis.call('ZCARD', slots) >= concurrent
if wait == 0 and head == ticket and not full then
  redis.call('ZREM', queue, ticket)
  redis.call('ZREM', leases, ticket)
  redis.call('ZADD', slots, now + slot_lease, ticket)
  redis.call('PEXPIRE', slots, slot_lease)
  local grain = string.format('%.0f', math.floor(now * {GRAINS} / window))
  if size > 0 then
    redis.call('HINCRBY', bytes, grain, size)
    redis.call('PEXPIRE', bytes, math.ceil(window + window / {GRAINS}))
  end
  return {{{BEGUN}, tonumber(grain)}}
end

redis.call('ZADD', queue, 'NX', time[1] .. string.format('%06d', time[2]), ticket)
redis.call('ZADD', leases, now + ticket_lease, ticket)
redis.call('PEXPIRE', queue, ticket_lease)
redis.call('PEXPIRE', leases, ticket_lease)
return {{why, wait}}
"""
)

# ARGV: ticket, the grain and the number of the bytes to give back (0: they have been used).
RELEASE = (
    _COMMON
    + """
redis.call('ZREM', queue, ARGV[1])
redis.call('ZREM', leases, ARGV[1])
if redis.call('ZREM', slots, ARGV[1]) == 1 and tonumber(ARGV[3]) > 0 then
  redis.call('HINCRBY', bytes, ARGV[2], -ARGV[3])
end
return {0, 0}
"""
)

# ARGV: ticket, lease of a slot. Of a slot that is lost nothing comes back.
RENEW = (
    _COMMON
    + """
redis.call('ZADD', slots, 'XX', now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', slots, ARGV[2])
return {0, 0}
"""
)

# ARGV: how long nobody may begin.
PAUSE = (
    _COMMON
    + """
if redis.call('PTTL', pause) < tonumber(ARGV[1]) then
  redis.call('SET', pause, 1, 'PX', ARGV[1])
end
return {0, 0}
"""
)
