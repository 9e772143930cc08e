// Silences: those in force and those that ended lately. An operator adds one, or ends one before its time; a dialog says
// what that does before it is done. All is asked of the admin API.

import { actorIn, remember, remembered } from '/actor.js'
import { Problem, ask, views } from '/pages.js'
import { byId, moment, number, put, stamp, visible } from '/text.js'

const API = '/api/v1/silences'
const KINDS = ['rule', 'source', 'hub']
const SHOWN_ENDED = 100
const ACTIONS = {
  hold: { word: 'holds', tone: 'waiting', title: 'Hold notifications?', meaning: 'They wait, and go out when the silence ends, but for those that have expired by then.' },
  drop: { word: 'drops', tone: 'bad', title: 'Drop notifications?', meaning: 'They end as cancelled, go to no phone, and do not come back when the silence ends.' },
}

let review = null // what the dialog does when its button is pressed

// The list

async function showList(isCurrent) {
  const [{ items }] = await Promise.all([ask(API), drawNames()])
  if (!isCurrent()) return
  const ended = items.filter(({ active }) => !active)
  const inForce = items.filter(({ active }) => active)
  byId('silences').replaceChildren(...inForce.map(row))
  byId('empty').hidden = inForce.length > 0
  byId('past').hidden = !ended.length
  byId('ended').replaceChildren(...ended.slice(0, SHOWN_ENDED).map(row))
  byId('more').hidden = ended.length <= SHOWN_ENDED
  put(byId('more'), `${number(ended.length - SHOWN_ENDED)} more: pushbridge silences list --all`)
}

/** Sources and hubs to choose from, once. */
async function drawNames() {
  const form = byId('add').elements
  if (form.hub.options.length) return
  const { sources, hubs } = await ask('/api/v1/status')
  const names = { source: sources, hub: hubs.map(({ name }) => name) }
  for (const kind of Object.keys(names)) {
    form[kind].replaceChildren(new Option('any', ''), ...names[kind].map((name) => new Option(visible(name), name)))
  }
}

function row(silence) {
  const { element, parts } = stamp('silence-row')
  const { word, tone } = ACTIONS[silence.action]
  element.dataset.tone = parts.state.dataset.tone = silence.active ? tone : 'quiet'
  const until = `${silence.active ? 'until' : 'to'} ${moment(silence.until)}`
  put(parts.times, `${moment(silence.at)} ${until}`)
  put(parts.target, targetOf(silence))
  put(parts.state, silence.active ? word : 'ended')
  put(parts.use, useOf(silence))
  put(parts.reason, `${silence.actor}: ${silence.reason}`)
  parts.end.hidden = !silence.active
  parts.end.setAttribute('aria-label', visible(`End silence ${silence.id} of ${targetOf(silence)}…`))
  parts.end.addEventListener('click', () => open(ending(silence)))
  return element
}

function targetOf(silence) {
  return KINDS.filter((kind) => silence[kind]).map((kind) => `${kind} ${silence[kind]}`).join(', ')
}

function useOf({ held, held_since: since, dropped, removed_by: by, missing }) {
  return [
    held && `${number(held)} held${since ? ` since ${moment(since)}` : ''}`,
    dropped && `${number(dropped)} dropped`,
    by && `ended by ${by}`,
    missing.length && `the configuration has no ${missing.join(' and no ')}`,
  ].filter(Boolean).join('; ')
}

// What an operator does

function adding() {
  const fields = byId('add').elements
  const content = Object.fromEntries(['action', 'seconds', 'reason', ...KINDS].map((name) => [name, fields[name].value.trim()]))
  const { title, meaning } = ACTIONS[content.action]
  return {
    title,
    text: `For ${content.seconds}, notifications of ${targetOf(content)}. ${meaning}`,
    word: content.action === 'hold' ? 'Hold them' : 'Drop them',
    async act(actor) {
      const { id, until } = await ask(API, { content, actor })
      byId('add').reset()
      byId('new').open = false
      return `Silence ${id} is in force until ${moment(until)}.`
    },
  }
}

function ending(silence) {
  const held = silence.held ? ` (${number(silence.held)} when this page was drawn)` : ''
  const goes = silence.action === 'hold' ? `What it holds goes out${held}, but for what has expired.` : 'What it has dropped stays dropped.'
  return {
    title: 'End the silence?',
    text: `It ${ACTIONS[silence.action].word} notifications of ${targetOf(silence)}. ${goes}`,
    word: 'End it',
    async act(actor) {
      await ask(`${API}/${encodeURIComponent(silence.id)}/remove`, { content: {}, actor })
      return `Silence ${silence.id} has ended.`
    },
  }
}

function open(what) {
  review = what
  put(byId('review-title'), what.title)
  put(byId('review-text'), what.text)
  byId('do').textContent = what.word
  byId('do').disabled = false
  byId('review-trouble').hidden = true
  byId('review').showModal()
}

async function act() {
  byId('do').disabled = true
  remember(byId('actor').value)
  try {
    const text = await review.act(actorIn(byId('actor')))
    byId('review').close()
    await show({ tone: 'good', text })
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    put(byId('review-trouble'), problem.message)
    byId('review-trouble').hidden = false
    byId('do').disabled = false
  }
}

byId('add').addEventListener('submit', (event) => {
  event.preventDefault()
  const fields = byId('add').elements
  const isAnything = KINDS.every((kind) => !fields[kind].value.trim())
  byId('add-trouble').hidden = !isAnything
  put(byId('add-trouble'), 'Say what to be silent about: a rule, a source or a hub.')
  if (!isAnything) open(adding())
})
byId('do').addEventListener('click', act)
byId('actor').value = remembered()

const { show } = views('/silences', { showList })
show()
