// A send with its preview: nothing is sent that was not previewed as it is, and what is for many is confirmed too.

import { actorIn } from '/actor.js'
import { Problem, ask, hubsHere, listItem } from '/pages.js'
import { byId, countedByPlatform, platformName, put, visible } from '/text.js'

const HINTS = { device: 'the id of a phone', tags: 'such as team:hr && !vip', everyone: '' }

/** Makes the form work. `target` says which `{ hub, device }` it is for, null where the form asks; `onSent` gets what the
 * API answered. `drawHubs` fills in the hubs to choose from, and `forget` drops the preview. */
export function sendForm({ target, onSent }) {
  const form = byId('send').elements
  const actor = () => actorIn(byId('actor'))
  let previewed = null // where to, and the body of the request that was previewed last
  for (const label of byId('send').querySelectorAll('[data-whom]')) label.hidden = Boolean(target)
  form.hub.required = !target

  async function drawHubs() {
    if (form.hub.options.length) return
    form.hub.replaceChildren(...(await hubsHere()).map(({ name }) => new Option(visible(name), name)))
  }

  function request() {
    const asked = target?.()
    const [hub, to, whom] = asked ? [asked.hub, 'device', asked.device] : [form.hub.value, form.to.value, form.whom.value.trim()]
    const body = {
      device: to === 'device' ? whom : '',
      tags: to === 'tags' ? whom : '',
      everyone: to === 'everyone',
      properties: Object.fromEntries(['title', 'body'].filter((name) => form[name].value).map((name) => [name, form[name].value])),
    }
    return { hub, body }
  }

  function forget() {
    previewed = null
    byId('go').disabled = true
    byId('preview').hidden = byId('send-trouble').hidden = true
  }

  async function preview() {
    forget()
    const { hub, body } = request()
    const found = await ask(`/api/v1/hubs/${encodeURIComponent(hub)}/preview`, { content: body, actor: actor() })
    previewed = { hub, body: { ...body, confirm: found.confirm ?? 0 } }
    const pushes = `make ${found.total} ${found.total === 1 ? 'push' : 'pushes'}: ${countedByPlatform(found.counts)}`
    const reached = found.total ? pushes : `reach nobody: ${found.unreached_meaning}`
    put(byId('reach'), `It would ${reached}${found.only_to ? ` (only to ${found.only_to})` : ''}.`)
    byId('lacking').replaceChildren(...found.reasons.map(listItem))
    byId('samples').replaceChildren(
      ...found.samples.map((each) => listItem([platformName(each.platform), each.device, each.user, each.template ?? 'native', each.push_channel].filter(Boolean).join(' · '))),
    )
    byId('confirm').hidden = !found.confirm
    byId('confirmed').checked = false
    byId('confirm-text').textContent = `It is for ${found.confirm} registrations, and I mean that.`
    byId('preview').hidden = false
    byId('go').disabled = !found.total || Boolean(found.confirm)
  }

  async function send() {
    const { hub, body } = previewed
    const sent = await ask(`/api/v1/hubs/${encodeURIComponent(hub)}/notifications`, { content: body, actor: actor() })
    forget()
    await onSent(sent)
  }

  async function tried(work) {
    try {
      await work()
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      put(byId('send-trouble'), problem.message)
      byId('send-trouble').hidden = false
    }
  }

  byId('send').addEventListener('submit', (event) => {
    event.preventDefault()
    tried(preview)
  })
  byId('send').addEventListener('input', (event) => {
    if (event.target.id === 'confirmed') byId('go').disabled = !event.target.checked
    else if (event.target.id !== 'actor') forget()
    form.whom.disabled = form.to.value === 'everyone'
    form.whom.placeholder = HINTS[form.to.value]
  })
  byId('go').addEventListener('click', () => tried(send))
  return { drawHubs, forget }
}
