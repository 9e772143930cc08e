// Devices: a search, and one with what it has, what it was sent, and a test. The address says what is shown.

import { address, ask, drawPaging, fill, fillTable, filters, hubsHere, link, partOf, query, views } from '/pages.js'
import { drawLook } from '/looks.js'
import { sendForm } from '/send_form.js'
import { byId, chip, moment, number, platformName, put, stamp, visible } from '/text.js'

const FILTERS = ['hub', 'by', 'for']
const PART = 50
const TAGS_SHOWN = 6
const ANSWERS = { delivered: 'good', failed: 'bad', dead: 'bad', waiting: 'waiting', under_way: 'waiting', held: 'waiting' }

let shown = null // hub, id and platform of the device that is shown
let hubs = [] // those whose devices are here

// The list

async function showList(isCurrent) {
  const parameters = query()
  hubs = await hubsHere()
  if (!isCurrent()) return
  const hub = chosenHub(parameters)
  drawSearch(parameters, hub)
  drawTotals(hub)
  const wanted = new URLSearchParams()
  if (parameters.get('for')) wanted.set(parameters.get('by') || 'id', parameters.get('for'))
  if (parameters.get('cursor')) wanted.set('cursor', parameters.get('cursor'))
  const part = hub && (await partOf(`${apiOf(hub.name)}/devices`, wanted, isCurrent, { size: PART, most: 4 }))
  const { items, next } = part ?? { items: [] }
  if (!isCurrent()) return
  byId('devices').replaceChildren(...items.map(row))
  byId('empty').hidden = items.length > 0
  put(byId('empty'), hub ? emptyOf(parameters) : 'No hub has its devices here.')
  drawPaging('/devices', next)
  document.title = 'Devices: pushbridge'
}

function chosenHub(parameters) {
  const name = parameters.get('hub')?.toLowerCase()
  return hubs.find((each) => each.name.toLowerCase() === name) ?? hubs[0]
}

function drawSearch(parameters, hub) {
  const fields = byId('search').elements
  fields.hub.replaceChildren(...hubs.map(({ name }) => new Option(visible(name), name)))
  drawFilters(parameters)
  if (hub) fields.hub.value = hub.name
  if (fields.by.selectedIndex < 0) fields.by.value = ''
  byId('clear').hidden = !parameters.get('for')
}

function drawTotals(hub) {
  const counts = hub?.platforms.filter(({ registrations }) => registrations) ?? []
  byId('totals').replaceChildren(...counts.map(({ title, registrations }) => chip(`${title} ${number(registrations)}`, 'quiet')))
  byId('totals').hidden = !counts.length
}

function emptyOf(parameters) {
  if (!parameters.get('for')) return 'No device is registered at this hub.'
  const isAudience = ['user', 'tag'].includes(parameters.get('by'))
  return isAudience ? 'No device that can be reached is found so.' : 'No device is found so.'
}

function row(device) {
  const { element, parts } = stamp('device-row')
  element.dataset.tone = device.push_channel_expired ? 'bad' : 'good'
  put(parts.link, device.id)
  link(parts.link, addressOf(device))
  put(parts.platform, platformName(device.platform))
  parts.platform.dataset.tone = device.push_channel_expired ? 'bad' : 'quiet'
  put(parts.user, [device.user_id && `user ${device.user_id}`, device.push_channel_expired && 'its push channel is dead'].filter(Boolean).join(', '))
  parts.tags.append(...tagsOf(device.tags, TAGS_SHOWN))
  parts.at.dateTime = device.updated_at
  parts.at.textContent = moment(device.updated_at)
  put(parts.templates, device.templates.length ? `${number(device.templates.length)} ${device.templates.length === 1 ? 'template' : 'templates'}` : 'no template')
  return element
}

function tagsOf(tags, most = Infinity) {
  const elements = tags.slice(0, most).map((tag) => {
    const element = document.createElement('span')
    put(element, tag)
    return element
  })
  if (tags.length > most) elements.push(document.createTextNode(` and ${number(tags.length - most)} more`))
  return elements
}

function apiOf(hub) {
  return `/api/v1/hubs/${encodeURIComponent(hub)}`
}

function addressOf({ hub, id }) {
  return address(`/devices/${encodeURIComponent(hub)}/${encodeURIComponent(id)}`)
}

// One

async function showOne(isCurrent) {
  const [, , hub, id = ''] = location.pathname.split('/').map(decodeURIComponent)
  const path = `${apiOf(hub)}/devices/${encodeURIComponent(id)}`
  const [device, received] = await Promise.all([ask(path), ask(`${path}/received`)])
  if (!isCurrent()) return
  shown = { hub: device.hub, device: device.id, platform: device.platform }
  forget()
  document.title = `Device ${device.id}: pushbridge`
  byId('one-title').replaceChildren(`Device ${visible(device.id)} `, chip(platformName(device.platform), 'quiet'))
  link(byId('back'), address('/devices'))
  fill(byId('facts'), facts(device))
  fillTable(byId('registrations'), device.registrations.map(registration))
  byId('its-templates').hidden = !device.template_details.length
  byId('templates').replaceChildren(...device.template_details.map(template))
  byId('received').replaceChildren(...received.items.map(push))
  byId('nothing').hidden = received.items.length > 0
  byId('not-whole').hidden = received.whole
}

function facts(device) {
  return [
    ['Hub', device.hub, `/hubs/${encodeURIComponent(device.hub)}`],
    ['User', device.user_id || 'none'],
    ['Push channel', `${device.push_channel}${device.push_channel_expired ? ', dead: it gets nothing until it registers again' : ''}`],
    ['Registered', moment(device.updated_at)],
    ['Expires', device.expires_at ? moment(device.expires_at) : 'never'],
    ['Push variables', device.push_variables.join(', ') || 'none'],
    ['Tags', device.tags.join(', ') || 'none'],
  ]
}

function registration(each) {
  const tags = document.createElement('span')
  tags.className = 'tags'
  tags.append(...tagsOf(each.tags))
  const since = `${moment(each.registered_at)}${each.dead_at ? `; dead since ${moment(each.dead_at)}: ${each.dead_reason}` : ''}`
  return [each.template ?? 'native', tags, since]
}

function template(each) {
  const { element, parts } = stamp('template-entry')
  put(parts.name, each.name)
  const headers = Object.entries(each.headers).map(([name, value]) => `${name}: ${value}`)
  put(parts.more, [...headers, each.expiry && `expiry ${each.expiry}`, each.tags.length && `tags ${each.tags.join(', ')}`].filter(Boolean).join('; '))
  parts.body.textContent = visible(each.body)
  return element
}

function push(each) {
  const { element, parts } = stamp('received-entry')
  const tone = each.outcome ? 'bad' : (ANSWERS[each.answer] ?? 'quiet')
  element.dataset.tone = parts.answer.dataset.tone = tone
  put(parts.answer, each.outcome || each.answer.replaceAll('_', ' '))
  parts.at.dateTime = each.at
  parts.at.textContent = moment(each.at)
  link(parts.link, `/sends/${encodeURIComponent(each.notification)}`)
  put(parts.link, each.rule ? `rule ${each.rule}` : 'send')
  put(parts.which, each.template === null ? 'native' : `template ${each.template}`)
  parts.said.hidden = !each.reports.length
  put(parts.said, `The phone said: ${each.reports.map(said).join(', ')}`)
  put(parts.meaning, [each.meaning, each.reason].filter(Boolean).join(': '))
  parts.payload.hidden = each.payload === null
  if (each.payload === null) parts.meaning.append(`. The payload is not shown: ${each.payload_missing}.`)
  else parts.text.textContent = visible(indented(each.payload))
  if (each.payload !== null) parts.look.append(drawLook({ platform: shown.platform, headers: each.headers, body: each.payload }))
  put(parts.headers, Object.entries(each.headers).map(([name, value]) => `${name}: ${value}`).join('; '))
  return element
}

function said({ event, action, at }) {
  return [event, action, moment(at)].filter(Boolean).join(' ')
}

/** JSON with line breaks; other text as it is. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

const { go, show } = views('/devices', { showList, showOne })
const drawFilters = filters('/devices', FILTERS, go)
const { forget } = sendForm({ target: () => shown, onSent: () => show({ tone: 'good', text: 'It is on its way.' }) })
show()
