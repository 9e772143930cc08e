// The page listens to one stream of server-sent events and draws what it says. Whatever comes from an event is put in as
// text, never as markup.

const SHOWN_EVENTS = 100
const RECONNECT_AFTER = 3_000 // milliseconds, as browsers wait
const SHOWN_BANNERS = { apns: 3, fcmv1: 3, wns: 2 } // as many as there is room for

const SERVICES = { apns: 'APNs', fcmv1: 'FCM', wns: 'WNS' }
const ENDS = { no_match: 'no match', suppressed: 'seen before', dead_letter: 'dead letter' }
const END_TONES = { no_match: 'quiet', suppressed: 'quiet', dead_letter: 'bad' }
const OUTCOME_TONES = { Success: 'good', RefreshToken: 'good', Skipped: 'quiet', NoTargets: 'quiet' }

const byId = (id) => document.getElementById(id)
const events = new Map() // by number
const rows = new Map() // of events, by number
const devices = new Map() // by the phone's id
let shownEnd = ''

/** A copy of a template's element, and its named parts. */
function stamp(template) {
  const element = byId(template).content.firstElementChild.cloneNode(true)
  const parts = {}
  for (const part of element.querySelectorAll('[data-part]')) parts[part.dataset.part] = part
  return { element, parts }
}

function chip(text, tone) {
  const element = document.createElement('span')
  element.className = 'chip'
  element.dataset.tone = tone
  element.textContent = text
  return element
}

// Events

function drawEvents(changed) {
  for (const event of changed) {
    events.set(event.number, event)
    const row = eventRow(event)
    if (rows.has(event.number)) {
      rows.get(event.number).replaceWith(row)
    } else {
      row.classList.add('new')
      insertRow(event.number, row)
    }
    rows.set(event.number, row)
  }
  const oldest = [...events.keys()].sort((a, b) => a - b).slice(0, -SHOWN_EVENTS)
  for (const number of oldest) {
    rows.get(number).remove()
    rows.delete(number)
    events.delete(number)
  }
  applyFilter()
}

/** The newest is on top. */
function insertRow(number, row) {
  const older = [...byId('trail').children].find((other) => Number(other.dataset.number) < number)
  byId('trail').insertBefore(row, older ?? null)
}

function eventRow(event) {
  const { element, parts } = stamp('event')
  element.dataset.number = event.number
  element.dataset.end = event.end
  element.dataset.tone = END_TONES[event.end] ?? 'good'
  parts.source.textContent = event.source
  parts.time.textContent = clock(event.received_at, true)
  parts.time.dateTime = event.received_at
  parts.id.textContent = event.id || 'no id'
  parts.type.textContent = event.type
  const ways = event.notifications.map(wayRow)
  const failed = event.dead_letters.map((letter) => endRow('dead_letter', letter))
  parts.ways.append(...ways, ...failed)
  if (!ways.length && !failed.length) parts.ways.append(endRow(event.end, event))
  return element
}

function wayRow(notification) {
  const { element, parts } = stamp('way')
  const { targeted, pushes, outcomes } = notification
  const counts = {}
  for (const byName of Object.values(outcomes)) {
    for (const [name, count] of Object.entries(byName)) counts[name] = (counts[name] ?? 0) + count
  }
  const ended = Object.values(counts).reduce((sum, count) => sum + count, 0)
  parts.rule.textContent = notification.rule
  parts.expression.textContent = notification.expression
  parts.audience.textContent = targeted === null ? 'looking' : targeted === 0 ? 'nobody' : targeted.toLocaleString()
  for (const [platform, count] of Object.entries(pushes)) {
    if (count) parts.pushed.append(chip(`${SERVICES[platform] ?? platform} ${count.toLocaleString()}`, 'plain'))
  }
  for (const [name, count] of Object.entries(counts)) {
    parts.outcome.append(chip(`${count.toLocaleString()} ${name}`, OUTCOME_TONES[name] ?? 'bad'))
  }
  if (targeted === 0) parts.outcome.append(chip('NoTargetFound', 'quiet'))
  else if (targeted === null || ended < targeted) parts.outcome.append(chip('under way', 'waiting'))
  const [, , audience, pushed, outcome] = element.children
  audience.dataset.tone = targeted === null ? 'waiting' : targeted ? 'good' : 'quiet'
  pushed.dataset.tone = targeted ? 'good' : (audience.dataset.tone)
  outcome.dataset.tone = parts.outcome.lastElementChild.dataset.tone
  return element
}

/** How an event, or one rule's share of it, ended before anybody was notified. */
function endRow(end, { rule, reason, detail }) {
  const { element, parts } = stamp('end')
  element.dataset.tone = END_TONES[end] ?? 'quiet'
  parts.word.dataset.tone = element.dataset.tone
  parts.word.textContent = reason ? `${ENDS[end] ?? end}: ${reason}` : ENDS[end] ?? end
  parts.detail.textContent = [rule && `rule ${rule}`, detail].filter(Boolean).join(': ')
  if (end === 'no_match' && !detail) parts.detail.textContent = 'no rule is for this event'
  return element
}

function applyFilter() {
  let shown = 0
  for (const [number, row] of rows) {
    const event = events.get(number)
    const isShown = !shownEnd || event.end === shownEnd || (shownEnd === 'dead_letter' && event.dead_letters.length > 0)
    row.hidden = !isShown
    shown += isShown
  }
  byId('empty').hidden = shown > 0
}

// Phones

function drawPhones(phones) {
  byId('phones').hidden = phones === null
  for (const phone of phones ?? []) {
    if (!devices.has(phone.id)) addDevice(phone)
    drawScreen(devices.get(phone.id), phone.screen.slice(-(SHOWN_BANNERS[phone.platform] ?? 1)))
  }
}

function addDevice(phone) {
  const { element, parts } = stamp('phone')
  element.dataset.platform = phone.platform
  parts.name.textContent = phone.name
  parts.service.textContent = SERVICES[phone.platform] ?? phone.platform
  for (const tag of [`user ${phone.user}`, ...phone.tags]) {
    const item = document.createElement('li')
    item.textContent = tag
    parts.tags.append(item)
  }
  const banners = element.querySelector('.banners')
  banners.setAttribute('aria-label', `Notifications on ${phone.name}`)
  element.querySelector('.clock').textContent = clock(new Date())
  byId('devices').append(element)
  devices.set(phone.id, banners)
}

/** The newest is on top; on a desktop, toasts stand above the taskbar, so the style turns the order round. */
function drawScreen(banners, screen) {
  const kept = new Map([...banners.children].map((banner) => [banner.dataset.key, banner]))
  for (const notification of screen) {
    const key = `${notification.push_id} ${notification.at}`
    if (!kept.delete(key)) banners.prepend(bannerOf(notification, key))
  }
  for (const gone of kept.values()) gone.remove()
}

function bannerOf(notification, key) {
  const { element, parts } = stamp('banner')
  element.dataset.key = key
  parts.title.textContent = notification.title
  parts.subtitle.textContent = notification.subtitle
  parts.body.textContent = notification.body
  parts.when.dateTime = notification.at
  parts.when.textContent = ago(notification.at)
  return element
}

// Time

function clock(time, withSeconds = false) {
  const options = { hour: '2-digit', minute: '2-digit', second: withSeconds ? '2-digit' : undefined, hourCycle: 'h23' }
  return new Date(time).toLocaleTimeString([], options)
}

function ago(time) {
  const minutes = Math.floor((Date.now() - new Date(time)) / 60_000)
  return minutes < 1 ? 'now' : minutes < 60 ? `${minutes}m` : clock(time)
}

function tick() {
  for (const element of document.querySelectorAll('.device .clock')) element.textContent = clock(new Date())
  for (const element of document.querySelectorAll('.banner .when')) element.textContent = ago(element.dateTime)
}

// The stream

function draw(message) {
  byId('count').textContent = message.count.toLocaleString()
  drawEvents(message.events)
  if ('phones' in message) drawPhones(message.phones)
}

function forget() {
  events.clear()
  rows.clear()
  devices.clear()
  byId('trail').replaceChildren()
  byId('devices').replaceChildren()
}

function setConnection(state) {
  byId('connection').dataset.state = state
  byId('connection').textContent = state
}

function connect() {
  const stream = new EventSource('/api/live') // it connects again by itself, unless somebody else answers
  stream.addEventListener('open', () => setConnection('live'))
  stream.addEventListener('error', () => {
    setConnection('reconnecting')
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_AFTER)
  })
  stream.addEventListener('snapshot', ({ data }) => {
    forget() // after a restart of the daemon, events are numbered anew
    draw(JSON.parse(data))
  })
  stream.addEventListener('update', ({ data }) => draw(JSON.parse(data)))
}

byId('filter').addEventListener('click', ({ target }) => {
  if (target.dataset.end === undefined) return
  shownEnd = target.dataset.end
  for (const button of byId('filter').children) button.setAttribute('aria-pressed', button === target)
  applyFilter()
})
setInterval(tick, 10_000)

// What scrolls has to be reachable by keyboard, and what does not scroll is no stop on the way.
new ResizeObserver(([{ target }]) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0
  else target.removeAttribute('tabindex')
}).observe(byId('devices'))

connect()
