// Hubs: a list, and one with its platforms, credentials, registrations over time, changes of its registry and pushes. The
// address says which, and of what time.

import { Problem, address, ask, fill, fillTable, link, query, views } from '/pages.js'
import { drawChart } from '/charts.js'
import { byId, chip, moment, number, platformName, put, stamp } from '/text.js'

const HOUR = 3_600_000
const SPANS = {
  '': { by: 'hour', step: HOUR, count: 48 },
  month: { by: 'day', step: 24 * HOUR, count: 31 },
  year: { by: 'day', step: 24 * HOUR, count: 400 },
}

async function showList(isCurrent) {
  const { items } = await ask('/api/v1/hubs')
  if (!isCurrent()) return
  byId('hubs').replaceChildren(...items.map(row))
  byId('empty').hidden = items.length > 0
  document.title = 'Hubs: pushbridge'
}

function row(hub) {
  const { element, parts } = stamp('hub-row')
  const tones = hub.platforms.map(toneOf)
  if (hub.remote && !hub.remote.ok) tones.push('bad')
  element.dataset.tone = ['bad', 'waiting'].find((tone) => tones.includes(tone)) ?? 'good'
  put(parts.link, hub.name)
  link(parts.link, `/hubs/${encodeURIComponent(hub.name)}`)
  put(parts.kind, [hub.remote ? `at another service: ${hub.remote.state}` : registered(total(hub)), hub.mirror && 'mirrored'].filter(Boolean).join(', '))
  parts.platforms.append(...hub.platforms.map((each) => chip(`${each.title} ${number(each.registrations)}${said(each)}`, toneOf(each))))
  put(parts.guards, [hub.held && `${number(hub.held)} held for an approval`, hub.only_to && `only to ${hub.only_to}`].filter(Boolean).join('; '))
  return element
}

function total({ platforms }) {
  return platforms.reduce((sum, { registrations }) => sum + registrations, 0)
}

function registered(count) {
  return `${number(count)} ${count === 1 ? 'registration' : 'registrations'}`
}

function said({ credential }) {
  if (!credential) return ': no credential'
  return credential.ok ? '' : `: ${credential.state}`
}

function toneOf({ credential, registrations }) {
  if (!credential) return registrations ? 'waiting' : 'quiet'
  return credential.ok ? 'good' : 'bad'
}

// One

async function showOne(isCurrent) {
  const name = decodeURIComponent(location.pathname.replace(/^\/hubs\//, ''))
  const { items } = await ask('/api/v1/hubs')
  const hub = items.find((each) => each.name.toLowerCase() === name.toLowerCase())
  if (!hub) throw new Problem(`There is no hub ${name}.`)
  const span = query().get('span') in SPANS ? query().get('span') : ''
  const { by, step, count } = SPANS[span ?? '']
  const last = Math.floor(Date.now() / step) * step
  const first = last - (count - 1) * step
  const asked = (kind, sums) => ask(`/api/v1/statistics?${new URLSearchParams({ kind, hub: hub.name, since: new Date(first).toISOString(), by: sums })}`)
  const mirrored = hub.mirror ? ask(`/api/v1/hubs/${encodeURIComponent(hub.name)}/mirror`) : null
  const [devices, operations, pushes, mirror] = await Promise.all([asked('devices', by), asked('operation', 'total'), asked('push', 'total'), mirrored])
  if (!isCurrent()) return
  document.title = `Hub ${hub.name}: pushbridge`
  put(byId('one-title'), `Hub ${hub.name}`)
  link(byId('back'), '/hubs')
  link(byId('its-devices'), hub.remote ? '' : `/devices?${new URLSearchParams({ hub: hub.name })}`)
  link(byId('its-sends'), `/sends?${new URLSearchParams({ hub: hub.name })}`)
  byId('span').value = span ?? ''
  fill(byId('facts'), [...facts(hub), ...mirrorFacts(mirror)])
  drawPlatforms(hub)
  drawDevices(hub, devices.items, { first, last, step })
  drawTable('operations', operations.items.map((each) => [each.name.replaceAll('_', ' '), each.count]))
  drawTable('pushes', pushes.items.map((each) => [each.name, platformName(each.platform), each.count]))
}

function facts(hub) {
  return [
    ['Registered here', hub.remote ? `registered at another service (${hub.remote.state})` : registered(total(hub))],
    ['Phones register', hub.by_token ? "with their user's token, or by the wire API" : 'by the wire API'],
    ['Reaches only who has', hub.only_to || 'no limit'],
    ['Needs a confirmation above', hub.confirm_above === null ? 'no limit' : registered(hub.confirm_above)],
    ['Held for an approval', number(hub.held)],
  ]
}

function mirrorFacts(mirror) {
  if (!mirror) return []
  const waiting = [number(mirror.waiting), mirror.waiting_since && `since ${moment(mirror.waiting_since)}`, mirror.refused && `${number(mirror.refused)} refused: ${mirror.reason}`]
  const compared = Object.entries(mirror.compared).filter(([, count]) => count).map(([name, count]) => `${number(count)} ${name.replaceAll('_', ' ')}`)
  return [
    ['Mirrors a remote hub', mirror.sends === 'remote' ? 'the remote hub sends' : 'this hub sends, and the remote stands by'],
    ['Last whole list of the remote', mirror.listed_at ? `${moment(mirror.listed_at)}, ${registered(mirror.registrations)}` : 'never'],
    ['Waits to be written there', waiting.filter(Boolean).join(', ')],
    ['Sends of the last day, compared', compared.join(', ') || 'none'],
    [mirror.sends === 'remote' ? 'May be cut over' : 'May go back', mirror.may_change ? 'yes' : `not yet: ${mirror.against.join('; ')}`],
  ]
}

function drawPlatforms({ platforms }) {
  byId('platforms').hidden = !platforms.length
  byId('no-platforms').hidden = platforms.length > 0
  fillTable(byId('platforms'), platforms.map((each) => [each.title, each.registrations, credential(each)]))
}

function credential({ credential: found, registrations }) {
  const element = document.createElement('div')
  if (!found) {
    element.append(chip('none', registrations ? 'waiting' : 'quiet'), ' its pushes end as InvalidCredentials')
    return element
  }
  element.append(chip(found.state, found.ok ? 'good' : 'bad'))
  const more = [found.detail, found.since && `since ${moment(found.since)}`, found.until && `until ${moment(found.until)}`].filter(Boolean)
  if (more.length) {
    const detail = document.createElement('span')
    detail.className = 'detail'
    put(detail, more.join(', '))
    element.append(detail)
  }
  return element
}

function drawDevices(hub, items, times) {
  const series = new Map()
  for (const { at, platform, count } of items) {
    if (!series.has(platform)) series.set(platform, { name: platformName(platform), points: [] })
    series.get(platform).points.push([Date.parse(at), count])
  }
  for (const id of ['over-time', 'over-time-table']) byId(id).hidden = !items.length
  byId('no-devices').hidden = items.length > 0
  if (items.length) drawChart('over-time', [...series.values()], { ...times, label: 'Registrations by platform over time; the figures are in the table below' })
}

function drawTable(id, rows) {
  byId(id).hidden = !rows.length
  byId(`no-${id}`).hidden = rows.length > 0
  rows.sort((one, other) => other.at(-1) - one.at(-1))
  fillTable(byId(id), rows)
}

byId('span').addEventListener('change', () => go(address(location.pathname, { span: byId('span').value })))

const { go, show } = views('/hubs', { showList, showOne })
show()
