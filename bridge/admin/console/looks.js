// Looks: a picture of the device for each push, drawn as its platform shows it. Nothing is loaded: a picture that a push
// names is a mark in its place. Texts are put in as texts.

import { lookOf } from '/look_of.js'
import { chip, clock, platformName, put } from '/text.js'

// Which device a platform's picture is drawn on: the marks of style in phones.css.
const DEVICES = { apns: 'apns', wns: 'wns', mpns: 'wns', browser: 'browser' }
const KINDS = {
  banner: 'Notification',
  silent: 'Silent push',
  call: 'Call',
  activity: 'Live Activity',
  tile: 'Tile',
  badge: 'Badge',
  broken: 'Not readable',
}

/** A figure of what the push shows. `title` names it, as the platform does unless given; `notes` are sentences below it. */
export function drawLook({ platform, headers = {}, body = '', title = '', notes = [] }) {
  const look = lookOf({ platform, headers, body })
  const figure = make('figure', 'device look')
  figure.dataset.platform = DEVICES[platform] ?? 'fcmv1'
  figure.dataset.kind = look.kind
  const [frame, screen] = [make('div', 'frame'), make('div', 'screen')]
  screen.append(hidden('span', 'camera'), watch(), ...content(look), ...bar(figure.dataset.platform, look))
  frame.append(screen)
  figure.append(frame, caption(look, title || platformName(platform), notes))
  return figure
}

function caption(look, title, notes) {
  const element = make('figcaption')
  const name = make('strong')
  put(name, title)
  const marks = hasNumber(look) && isBanner(look) ? [`Number on the icon: ${look.badge}`, ...look.marks] : look.marks
  const tone = { broken: 'bad', silent: 'waiting' }[look.kind] ?? 'quiet'
  element.append(name, ' ', chip(KINDS[look.kind], tone))
  if (marks.length) {
    const list = make('ul', 'marks')
    list.append(...marks.map((mark) => filled('li', '', mark)))
    element.append(list)
  }
  for (const note of [look.note, ...notes].filter(Boolean)) element.append(filled('p', 'note whole', note, true))
  return element
}

function content(look) {
  switch (look.kind) {
    case 'banner':
      return isBanner(look) ? [banner(look)] : []
    case 'call':
      return [call(look)]
    case 'activity':
      return [activity(look)]
    case 'tile':
      return [tile(look)]
    case 'badge':
      return []
    default:
      return [nothing(look)]
  }
}

function banner(look) {
  const list = make('div', 'banners')
  const element = make('div', 'banner')
  element.append(icon(), filled('span', 'app', 'Example'), filled('span', 'when', 'now'))
  for (const name of ['title', 'subtitle', 'body']) element.append(filled(name === 'title' ? 'strong' : 'span', name, look[name] ?? ''))
  if (look.image) element.append(filled('span', 'picture', 'Picture'))
  list.append(element)
  return list
}

function call(look) {
  const element = make('div', 'call')
  const name = look.title.trim() || 'Somebody'
  const face = hidden('span', 'face')
  face.textContent = [...name][0].toUpperCase()
  const buttons = hidden('span', 'answers')
  buttons.append(make('i', 'decline'), make('i', 'accept'))
  element.append(face, filled('strong', 'title', name), filled('span', 'body', 'Incoming call'), buttons)
  return element
}

function activity(look) {
  const element = make('div', 'activity')
  const head = make('p', 'activity-head')
  head.append(icon(), filled('strong', 'title', 'Example'), filled('span', 'when', look.title))
  element.append(head)
  if (look.subtitle) element.append(filled('p', 'body', look.subtitle))
  element.append(pairs(look.facts))
  return element
}

function tile(look) {
  const element = make('div', 'tile')
  element.append(filled('strong', 'title', look.title), filled('span', 'body', look.body), filled('span', 'app', 'Example'))
  return element
}

function nothing(look) {
  const element = make('div', 'nothing')
  element.append(filled('strong', 'title', look.kind === 'broken' ? 'Cannot be drawn' : 'Nothing is shown'))
  if (look.facts?.length) element.append(pairs(look.facts))
  return element
}

function pairs(facts) {
  const list = make('dl', 'pairs')
  for (const [name, value] of facts) {
    const pair = make('div')
    pair.append(filled('dt', '', name), filled('dd', '', value))
    list.append(pair)
  }
  return list
}

function isBanner(look) {
  return Boolean(look.kind === 'banner' && (look.title || look.subtitle || look.body))
}

function hasNumber({ badge }) {
  return badge !== null && badge !== undefined && badge !== ''
}

/** The taskbar, and where nothing else is shown the app's icon with the number on it. */
function bar(device, look) {
  const bars = device === 'wns' || device === 'browser' ? [hidden('span', 'taskbar')] : []
  for (const each of bars) each.append(...['', '', '', ''].map(() => make('i')))
  if (!hasNumber(look) || isBanner(look)) return bars
  const badge = String(look.badge)
  const place = make('span', 'dock')
  const count = filled('span', 'count-on-icon', badge)
  count.setAttribute('aria-label', badge === '0' ? 'the number on the icon goes' : `${badge} on the icon`)
  place.append(icon(), count)
  return [...bars, place]
}

function watch() {
  const element = hidden('span', 'clock')
  element.textContent = clock(new Date())
  return element
}

function icon() {
  const element = make('img', 'icon')
  element.src = '/console.svg'
  element.alt = ''
  return element
}

function make(name, className = '') {
  const element = document.createElement(name)
  if (className) element.className = className
  return element
}

function hidden(name, className) {
  const element = make(name, className)
  element.setAttribute('aria-hidden', 'true')
  return element
}

function filled(name, className, content, isWhole = false) {
  const element = make(name, className)
  if (isWhole) element.textContent = content
  else put(element, content)
  return element
}
