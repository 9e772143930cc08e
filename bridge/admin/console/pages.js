// What pages of lists and of one thing each share: the admin API, addresses, and facts in pairs.

import { put, visible } from '/text.js'

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message)
    this.status = status
  }
}

/** An answer of the admin API, to a GET or to the `change` with its content. Throws: Problem: what was said instead. */
export async function ask(path, change) {
  const more = change && {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'pushbridge-actor': change.actor },
    body: JSON.stringify(change.content),
  }
  let response
  try {
    response = await fetch(path, { cache: 'no-store', ...more })
  } catch {
    throw new Problem('No daemon answers. Try again.')
  }
  let answer = {}
  try {
    answer = exact(await response.text())
  } catch {
    // no JSON: what stands between answered
  }
  if (!response.ok) throw new Problem(answer.detail ?? `The answer was ${response.status} ${response.statusText}.`, response.status)
  return answer
}

/** JSON whose numbers keep their digits, where this browser can. */
function exact(text) {
  return JSON.parse(text, (_, value, context) => {
    const isRounded = typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    return isRounded && Number.isInteger(value) && JSON.rawJSON ? JSON.rawJSON(context.source) : value
  })
}

// Addresses

export function query() {
  return new URLSearchParams(location.search)
}

export function address(path, changes = {}) {
  const parameters = query()
  for (const [name, value] of Object.entries(changes)) {
    if (value) parameters.set(name, value)
    else parameters.delete(name)
  }
  const text = parameters.toString()
  return text ? `${path}?${text}` : path
}

export function link(element, to) {
  element.hidden = !to
  if (to) element.href = to
}

export function anchor(text, to) {
  const element = document.createElement('a')
  element.href = to
  element.textContent = visible(text)
  return element
}

/** Names and values of a list of facts; a third part is where a value leads. */
export function fill(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([name, value, to]) => {
      const pair = document.createElement('div')
      const [term, description] = [document.createElement('dt'), document.createElement('dd')]
      put(term, name)
      description.className = 'whole'
      if (to) description.append(anchor(value, to))
      else description.textContent = visible(value)
      pair.append(term, description)
      return pair
    }),
  )
}
