-- The rules of rules.py for a ledger in Redis, which runs a script atomically.
--
-- KEYS: the post's queue (holder -> seq), its rows (holder -> lease sent gone), the request id's
-- entry, the post's claimed attachments (id -> expiry).
-- ARGV: the method, holder, post, request id, fingerprint, three spans, and the method's arguments.
-- Times and spans are whole microseconds. Each key has a TTL, but the times in the values decide.
--
-- A script is sent again if its response was lost: the second run changes nothing.

local queue, rows, entry_key, claimed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local what, holder, post, request_id, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease_span, settle_span, kept_span = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(number)
  return string.format('%.0f', number)
end

-- Keep a key at least until a time.
local function keep(key, until_time)
  local ttl_ms = math.ceil((until_time - now) / 1000) + 1000
  if redis.call('PTTL', key) < ttl_ms then
    redis.call('PEXPIRE', key, text(ttl_ms))
  end
end

-- Rows. `lease` is 0 after the lease was released with an unknown outcome.

local function row_of(who)
  local packed = redis.call('HGET', rows, who)
  if not packed then
    return nil
  end
  local lease, sent, gone = string.match(packed, '^(%d+) (%d) (-?%d+)$')
  return {holder = who, lease = tonumber(lease), sent = sent == '1', gone = tonumber(gone)}
end

local function kept_row_of(who)
  local row = row_of(who)
  if row and now < row.gone + kept_span then
    return row
  end
  return nil
end

local function put_row(row)
  local packed = text(row.lease) .. ' ' .. (row.sent and '1' or '0') .. ' ' .. text(row.gone)
  redis.call('HSET', rows, row.holder, packed)
  keep(rows, row.gone + kept_span)
  keep(queue, row.gone + kept_span)
end

local function drop_row(who)
  redis.call('ZREM', queue, who)
  redis.call('HDEL', rows, who)
end

local function renew_row(row)
  row.lease = now + lease_span
  row.gone = math.max(row.gone, row.lease + (row.sent and settle_span or 0))
  put_row(row)
end

-- Return the first holder whose row isn't gone, and drop the rows before it. Until then a holder
-- whose lease has expired may return.
local function head()
  while true do
    local first = redis.call('ZRANGE', queue, 0, 0)[1]
    local row = first and row_of(first)
    if not first or (row and now < row.gone) then
      return first
    end
    drop_row(first)
  end
end

-- Entries. `began` is nil if no sent request is unsettled.

local function entry_of()
  if request_id == '' then
    return nil
  end
  local found = redis.call('HMGET', entry_key, 'post', 'fingerprint', 'holder', 'began', 'settled',
    'told', 'attachment_id', 'created', 'expires')
  if not found[1] or tonumber(found[9]) <= now then
    return nil
  end
  return {
    is_same = found[1] == post and found[2] == fingerprint,
    holder = found[3],
    began = tonumber(found[4]),
    settled = tonumber(found[5]),
    told = found[6] == '1',
    attachment_id = found[7],
    created = tonumber(found[8]),
  }
end

local function fresh_entry()
  return {is_same = true, holder = holder, settled = 0, told = false, attachment_id = '', created = 0}
end

local function put_entry(entry)
  local expires = now + kept_span
  if entry.began then
    expires = math.max(expires, entry.settled)
  end
  redis.call('HSET', entry_key, 'post', post, 'fingerprint', fingerprint, 'holder', entry.holder,
    'began', entry.began and text(entry.began) or '', 'settled', text(entry.settled),
    'told', entry.told and '1' or '0', 'attachment_id', entry.attachment_id,
    'created', text(entry.created), 'expires', text(expires))
  keep(entry_key, expires)
end

local function own_entry()
  local entry = entry_of()
  if entry and entry.holder == holder then
    return entry
  end
  return nil
end

local function held()
  local row = kept_row_of(holder)
  if not row or row.lease == 0 then
    return nil, nil
  end
  local entry = own_entry()
  if request_id ~= '' and not entry then
    return nil, nil
  end
  return row, entry
end

local function refusal(entry)
  if not entry then
    return nil
  end
  if not entry.is_same then
    return {'reused'}
  end
  if entry.attachment_id ~= '' then
    return {'created', entry.attachment_id, now - entry.created}
  end
  if entry.holder == '' or entry.holder == holder then
    return nil
  end
  local row = kept_row_of(entry.holder)
  if not row or row.lease <= now then
    return nil
  end
  return {'in_progress', row.lease - now}
end

local function join(entry)
  local row = kept_row_of(holder)
  if not row and entry and entry.holder ~= '' then
    row = kept_row_of(entry.holder)
    if row then
      -- `gone` stays: the dead holder's request has to settle, even if the new holder dies, too.
      local seq = redis.call('ZSCORE', queue, row.holder)
      drop_row(row.holder)
      redis.call('ZADD', queue, seq, holder)
      row.holder, row.sent = holder, false
    end
  end
  if not row then
    local last = redis.call('ZREVRANGE', queue, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', queue, text((tonumber(last) or 0) + 1), holder)
    row = {holder = holder, lease = now, sent = false, gone = now}
  end
  renew_row(row)
end

local methods = {}

function methods.acquire(settled_span)
  local entry = entry_of()
  local answer = refusal(entry)
  if answer then
    local row = kept_row_of(holder)
    if row and row.lease ~= 0 and not row.sent then
      drop_row(holder)
    end
    return answer
  end
  join(entry)
  answer = {'first'}
  if request_id ~= '' then
    entry = entry or fresh_entry()
    entry.holder = holder
    put_entry(entry)
    if entry.began then
      answer = {'first', now - entry.began, entry.settled - now, entry.told and 1 or 0}
    end
  end
  if head() ~= holder then
    return {'waiting'}
  end
  if settled_span ~= '' and not answer[2] then
    methods.record_sending(settled_span, '1')
  end
  return answer
end

function methods.find()
  return refusal(entry_of()) or {'nothing'}
end

function methods.renew()
  local row, entry = held()
  if not row then
    return {'lost'}
  end
  renew_row(row)
  if entry then
    put_entry(entry)
  end
  return {'held'}
end

function methods.record_sending(settled_span, is_new_attempt)
  local row, entry = held()
  if not row then
    return {'lost'}
  end
  row.sent = true
  renew_row(row)
  if entry then
    local settled = now + settled_span
    if is_new_attempt == '1' or not entry.began then
      entry.began, entry.settled, entry.told = now, settled, false
    else
      entry.settled = math.max(entry.settled, settled)
    end
    put_entry(entry)
  end
  return {'held'}
end

function methods.release_created(attachment_id)
  redis.call('ZADD', claimed, text(now + kept_span), attachment_id)
  redis.call('ZREMRANGEBYSCORE', claimed, '-inf', text(now))
  keep(claimed, now + kept_span)
  if request_id ~= '' then
    local entry = entry_of() or fresh_entry()
    -- Another holder of the request id finds its lease lost, and then finds the attachment.
    if entry.is_same and entry.attachment_id == '' then
      entry.holder, entry.began, entry.told = '', nil, false
      entry.attachment_id, entry.created = attachment_id, now
      put_entry(entry)
    end
  end
  drop_row(holder)
  return {'left'}
end

function methods.release_absent()
  local row = kept_row_of(holder)
  if row and row.lease ~= 0 then
    local entry = own_entry()
    drop_row(holder)
    if entry then
      entry.holder, entry.began, entry.told = '', nil, false
      put_entry(entry)
    end
  end
  return {'left'}
end

function methods.release_unknown(settled_span, told)
  local row = kept_row_of(holder)
  if row and row.lease ~= 0 then
    local entry = own_entry()
    local settled = now + settled_span
    row.lease, row.gone = 0, settled
    put_row(row)
    if entry then
      entry.began, entry.settled = entry.began or now, settled
      entry.told = entry.told or told == '1'
      put_entry(entry)
    end
  end
  return {'left'}
end

function methods.release_unchanged()
  local entry = own_entry()
  if entry and entry.began then
    return methods.release_unknown(entry.settled - now, '0')
  end
  return methods.release_absent()
end

function methods.claimed()
  return redis.call('ZRANGEBYSCORE', claimed, '(' .. text(now), '+inf')
end

return methods[what](ARGV[9], ARGV[10])
