// What a device shows of a push: from the payload and the headers that its service gets, as each platform documents it.
//
// `lookOf` answers { kind, ... }. Kinds: `banner` (title, subtitle, body, image, badge), `silent`, `call`, `activity`
// (facts), `tile`, `badge`, and `broken` where the payload is none of its service. `marks` are words for what else is to be
// seen or heard, and `note` says in a sentence what the picture cannot.

const SILENT_TYPES = {
  background: 'iOS wakes the app and shows nothing.',
  location: 'iOS asks the app for its location and shows nothing.',
  complication: 'A complication of the watch gets new data.',
  fileprovider: 'A file provider is told to look for changes.',
  mdm: 'The device asks its management server.',
  pushtotalk: 'iOS shows who speaks, by what the app says.',
  widgets: 'Widgets are drawn again.',
  controls: 'Controls are drawn again.',
}
const LEVELS = {
  passive: 'Passive: in the list without light or sound',
  'time-sensitive': 'Time sensitive: passes a Focus',
  critical: 'Critical: sounds even when muted',
}
const IMAGES = /^https?:\/\/\S+\.(png|jpe?g|gif|webp|heic)(\?\S*)?$/i

const BY_PLATFORM = {
  apns: apple,
  fcmv1: (given) => android(object(document(given).message)),
  huawei: huawei,
  adm: amazon,
  xiaomi: chinese,
  baidu: chinese,
  wns: windows,
  mpns: windowsPhone,
  browser: browser,
}

/** What is seen of `body`, a text, with `headers`, at the platform of this name. */
export function lookOf({ platform, headers, body }) {
  const named = Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]))
  try {
    return { marks: [], note: '', ...(BY_PLATFORM[platform] ?? unknown)({ body, headers: named }) }
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    return { kind: 'broken', marks: [], note: error.message }
  }
}

class Broken extends Error {}

// Apple: "Generating a remote notification", "Sending notification requests to APNs"

function apple({ body, headers }) {
  const payload = json(body)
  const aps = object(payload.aps)
  const type = headers['apns-push-type'] ?? ''
  if (type === 'voip') return { kind: 'call', title: callerOf(payload, aps), note: 'The app draws the call: who calls is in the payload, by its own names.' }
  if (type === 'liveactivity') return activity(aps)
  const alert = typeof aps.alert === 'string' ? { body: aps.alert } : object(aps.alert)
  const texts = { title: keyed(alert, 'title'), subtitle: keyed(alert, 'subtitle'), body: text(alert.body) || text(alert['loc-key']) }
  const badge = Number.isInteger(aps.badge) ? aps.badge : null
  const isSeen = Object.values(texts).some(Boolean)
  if (SILENT_TYPES[type] && (type !== 'background' || !isSeen)) return { kind: 'silent', note: SILENT_TYPES[type] }
  if (!isSeen && badge === null) {
    return { kind: 'silent', note: aps['content-available'] === 1 ? SILENT_TYPES.background : 'There is no alert, so nothing is shown.' }
  }
  return {
    kind: 'banner',
    ...texts,
    badge,
    image: hasImage(payload),
    marks: appleMarks(aps),
    note: isSeen ? (aps['mutable-content'] === 1 ? 'An extension of the app may change it before it is shown.' : '') : 'Only the number on the icon changes.',
  }
}

function keyed(alert, name) {
  return text(alert[name]) || text(alert[`${name}-loc-key`])
}

function callerOf(payload, aps) {
  const named = ['caller', 'callerName', 'handle', 'from', 'name'].map((name) => text(payload[name])).find(Boolean)
  return named || text(object(aps.alert).title) || text(aps.alert) || 'Somebody'
}

function appleMarks(aps) {
  const sound = object(aps.sound)
  const level = sound.critical === 1 ? 'critical' : aps['interruption-level']
  return [
    LEVELS[level],
    level !== 'critical' && level !== 'passive' && (aps.sound ? `Sound ${text(aps.sound) || text(sound.name) || 'default'}` : 'No sound'),
    aps.category && `Actions of ${text(aps.category)}`,
    aps['thread-id'] && `Grouped by ${text(aps['thread-id'])}`,
  ].filter(Boolean)
}

function activity(aps) {
  const event = text(aps.event)
  if (!['start', 'update', 'end'].includes(event)) return { kind: 'broken', note: 'aps.event of a Live Activity is start, update or end.' }
  const alert = typeof aps.alert === 'string' ? { body: aps.alert } : object(aps.alert)
  return {
    kind: 'activity',
    title: { start: 'Begins', update: 'Goes on', end: 'Ends' }[event],
    facts: Object.entries(object(aps['content-state'])).map(([name, value]) => [name, short(value)]),
    subtitle: [keyed(alert, 'title'), text(alert.body)].filter(Boolean).join(': '),
    marks: [aps['stale-date'] && `Stale from ${moment(aps['stale-date'])}`, aps['dismissal-date'] && `Taken away at ${moment(aps['dismissal-date'])}`].filter(Boolean),
    note: 'The app draws the activity; these are the values that it gets.',
  }
}

function moment(seconds) {
  const time = new Date(Number(seconds) * 1000)
  return Number.isNaN(time.getTime()) ? short(seconds) : time.toLocaleString()
}

// Android: the message of FCM HTTP v1, and who spells theirs alike

function document({ body }) {
  return json(body)
}

function android(message) {
  const own = object(object(message.android).notification)
  const shown = { ...object(message.notification), ...own }
  if (!Object.keys(shown).length) return { kind: 'silent', facts: facts(message.data), note: 'A data message: the app gets it, and shows what it likes.' }
  return {
    kind: 'banner',
    title: text(shown.title) || text(shown.title_loc_key),
    body: text(shown.body) || text(shown.body_loc_key),
    image: Boolean(text(shown.image)),
    badge: Number.isInteger(shown.notification_count) ? shown.notification_count : null,
    marks: [
      shown.channel_id && `Channel ${text(shown.channel_id)}`,
      shown.tag && `Replaces ${text(shown.tag)}`,
      shown.notification_priority && words(shown.notification_priority),
      shown.click_action && `Opens ${text(shown.click_action)}`,
    ].filter(Boolean),
    note: '',
  }
}

function huawei(given) {
  const message = object(document(given).message)
  const own = object(object(message.android).notification)
  const look = android(message)
  return look.kind === 'banner' ? { ...look, marks: [own.importance && `Importance ${text(own.importance)}`, ...look.marks].filter(Boolean) } : look
}

function amazon(given) {
  const message = document(given)
  const shown = object(message.notification)
  if (Object.keys(shown).length) return { ...android(message), note: 'Fire OS shows it by itself.' }
  return { kind: 'silent', facts: facts(message.data), note: 'ADM hands data to the app, which shows what it likes.' }
}

/** Mi Push and Baidu: a form, or the JSON that it is made of. */
function chinese({ body }) {
  const fields = form(body)
  const inner = typeof fields.msg === 'string' ? json(fields.msg) : fields
  const [title, description] = [text(inner.title), text(inner.description)]
  const isPassed = ['1', 'True', 'true'].includes(String(inner.pass_through ?? 0)) || String(fields.msg_type ?? 1) === '0'
  if (isPassed || (!title && !description)) return { kind: 'silent', facts: facts(inner), note: 'A message for the app, which shows what it likes.' }
  return { kind: 'banner', title, body: description, image: Boolean(text(inner['extra.notification_large_icon_uri'])), badge: null }
}

function form(body) {
  if (/^\s*\{/.test(body)) return json(body)
  return Object.fromEntries(new URLSearchParams(body))
}

// Windows: "Adaptive and interactive toasts", "Create adaptive tiles", badges

function windows({ body, headers }) {
  const kind = (headers['x-wns-type'] ?? '').toLowerCase()
  if (kind === 'wns/raw') return { kind: 'silent', note: 'A raw notification: the app gets it, and nothing is shown.' }
  const root = xml(body)
  if (root.localName === 'badge') return { kind: 'badge', badge: root.getAttribute('value') ?? '', note: 'Only the mark on the icon changes.' }
  const binding = root.querySelector('visual > binding')
  const texts = binding ? [...binding.querySelectorAll('text')].map((each) => each.textContent) : []
  if (root.localName === 'tile') return { kind: 'tile', title: texts[0] ?? '', body: texts.slice(1).join('\n'), note: 'The tile of the app shows it.' }
  if (root.localName !== 'toast') throw new Broken(`<${root.localName}> is no toast, tile or badge.`)
  const isOneText = binding?.getAttribute('template')?.toLowerCase() === 'toasttext01'
  const scenario = root.getAttribute('scenario')
  const title = isOneText ? '' : (texts[0] ?? '')
  if (scenario === 'incomingCall') return { kind: 'call', title, note: '' }
  return {
    kind: 'banner',
    title,
    body: (isOneText ? texts : texts.slice(1)).join('\n'),
    image: Boolean(root.querySelector('image')),
    badge: null,
    marks: [
      scenario && { alarm: 'Alarm: stays and rings', reminder: 'Reminder: stays until it is dismissed', urgent: 'Important: passes Do not disturb' }[scenario],
      root.querySelector('audio[silent="true"]') && 'No sound',
      ...[...root.querySelectorAll('actions > action')].map((each) => `Button ${each.getAttribute('content') ?? ''}`),
    ].filter(Boolean),
    note: texts.some(Boolean) ? '' : 'The toast has no text.',
  }
}

function windowsPhone({ body }) {
  if (!/^\s*</.test(body)) return { kind: 'silent', note: 'A raw notification: the app gets it, and nothing is shown.' }
  const root = xml(body)
  const value = (name) => [...root.getElementsByTagName('*')].find((each) => each.localName === name)?.textContent ?? ''
  const has = (name) => [...root.getElementsByTagName('*')].some((each) => each.localName === name)
  if (has('Toast')) return { kind: 'banner', title: value('Text1'), body: value('Text2'), badge: null }
  if (has('Tile')) return { kind: 'tile', title: value('Title') || value('BackTitle'), body: value('BackContent'), badge: value('Count') }
  throw new Broken('There is no toast and no tile in it.')
}

// Browsers: Notifications API, and declarative messages (Push API, `web_push: 8030`)

function browser(given) {
  const message = document(given)
  const isDeclarative = message.web_push === 8030
  const shown = message.notification && typeof message.notification === 'object' ? { ...message, ...message.notification } : message
  const title = text(shown.title)
  if (!title) return { kind: 'silent', note: 'There is no title: the page’s service worker decides, and browsers ask that something is shown.' }
  return {
    kind: 'banner',
    title,
    body: text(shown.body),
    image: Boolean(text(shown.image)),
    badge: Number.isInteger(shown.app_badge) ? shown.app_badge : null,
    marks: [
      isDeclarative && 'Declarative: shown without a service worker',
      shown.silent === true && 'No sound',
      shown.requireInteraction === true && 'Stays until it is dismissed',
      shown.tag && `Replaces ${text(shown.tag)}`,
      shown.navigate && `Opens ${text(shown.navigate)}`,
      ...(Array.isArray(shown.actions) ? shown.actions.map((each) => `Button ${text(object(each).title)}`) : []),
    ].filter(Boolean),
    note: isDeclarative ? '' : 'The page’s service worker shows it: the usual one is assumed.',
  }
}

function unknown() {
  return { kind: 'silent', note: 'How this service shows a push is not known here.' }
}

// Values

function json(body) {
  try {
    return object(JSON.parse(body))
  } catch {
    throw new Broken('The payload is no JSON.')
  }
}

function xml(body) {
  const parsed = new DOMParser().parseFromString(body, 'application/xml')
  if (parsed.querySelector('parsererror') || parsed.doctype) throw new Broken('The payload is no XML.')
  return parsed.documentElement
}

function object(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {}
}

function text(value) {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function short(value) {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

function words(name) {
  return String(name).toLowerCase().replaceAll('_', ' ')
}

function facts(data) {
  return Object.entries(object(data)).slice(0, 8).map(([name, value]) => [name, short(value)])
}

/** Whether a link to a picture is anywhere in it: apps have names of their own for that. */
function hasImage(value, depth = 0) {
  if (typeof value === 'string') return IMAGES.test(value)
  return depth < 4 && value !== null && typeof value === 'object' && Object.values(value).some((each) => hasImage(each, depth + 1))
}
