-- Compare and swap: write a post's queue, an entry and a claim, if nobody has changed them meanwhile.
--
-- KEYS: the marker of this ledger, the post's queue, the request id's entry, the post's claims.
-- ARGV: the marker, the queue as it was read and as it is to be, its TTL, the same of the entry, the
-- id to claim, the time for which claims are kept, and whether they must not expire. Spans are in
-- milliseconds; "" stands for a missing value, and a TTL of "" for none.
-- Returns the marker, and the queue and the entry as they are, if they differ from what was read.

local marker, queue_key, entry_key, claims_key = unpack(KEYS)

local function get(key)
  return redis.call('GET', key) or ''
end

local function put(key, value, ttl)
  if value == '' then
    redis.call('DEL', key)
  elseif ttl == '' then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', ttl)
  end
end

local found, queue, entry = get(marker), get(queue_key), get(entry_key)
if found ~= ARGV[1] or queue ~= ARGV[2] or entry ~= ARGV[5] then
  return {found, queue, entry}
end
if ARGV[3] ~= queue then
  put(queue_key, ARGV[3], ARGV[4])
end
if ARGV[6] ~= entry then
  put(entry_key, ARGV[6], ARGV[7])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[8] ~= '' then
  redis.call('ZADD', claims_key, now + ARGV[9], ARGV[8])
end
if ARGV[10] == '1' then
  redis.call('PERSIST', claims_key)
elseif redis.call('EXISTS', claims_key) == 1 then
  redis.call('ZREMRANGEBYSCORE', claims_key, '-inf', now)
  redis.call('PEXPIRE', claims_key, ARGV[9])
end
return {}
