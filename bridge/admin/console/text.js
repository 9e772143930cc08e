// How texts and times are shown on all pages. Whatever comes from an event is put in as text, never as markup, by `put`.

import { TITLES } from '/platforms.js'

export const byId = (id) => document.getElementById(id)

/** A copy of a template's element, and its named parts. */
export function stamp(template) {
  const element = byId(template).content.firstElementChild.cloneNode(true)
  const parts = {}
  for (const part of element.querySelectorAll('[data-part]')) parts[part.dataset.part] = part
  return { element, parts }
}

export function chip(text, tone) {
  const element = document.createElement('span')
  element.className = 'chip'
  element.dataset.tone = tone
  put(element, text)
  return element
}

/** The page of an event, by its id or by that of a notification. A path cannot have `.` and `..`, so they are asked for. */
export function eventAddress(id, more = {}) {
  const wellFormed = id.replace(/\p{Cs}/gu, '\ufffd')
  const inPath = /^\.{1,2}$/.test(wellFormed) ? '-' : encodeURIComponent(wellFormed)
  const all = { ...more, id: inPath === '-' ? wellFormed : '' }
  const parameters = new URLSearchParams(Object.entries(all).filter(([, value]) => value)).toString()
  return parameters ? `/events/${inPath}?${parameters}` : `/events/${inPath}`
}

export function platformName(platform) {
  return TITLES[platform] ?? platform
}

// Text

// Controls, lone surrogates, and what turns the direction of a text or breaks it without a trace.
const UNSEEN = /[\p{Cs}\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{200b}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2060}-\u{206f}\u{feff}]/gu
// Scripts that put no spaces between words break between any two characters.
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u
const SHORT = /^[\p{L}\p{N}]{1,5}[.,:;]?$/u

export function visible(text) {
  return text.replace(UNSEEN, (unseen) => `[U+${unseen.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`)
}

/** Text whose lines break between words only: a word that is longer than a line ends in an ellipsis. */
export function put(element, text) {
  const words = visible(text).split(/(\s+)/).filter(Boolean).map((word) => {
    if (/^\s/.test(word) || SHORT.test(word) || UNSPACED.test(word)) return word
    const whole = document.createElement('span')
    whole.className = 'word'
    whole.textContent = word
    if (word.length > 10) whole.title = word
    return whole
  })
  element.replaceChildren(...words)
}

export function number(count) {
  return count.toLocaleString()
}

/** Counts by platform, in words. */
export function countedByPlatform(counts) {
  return counted(Object.fromEntries(Object.entries(counts).map(([platform, count]) => [platformName(platform), count])))
}

/** Counts by name, in words. */
export function counted(counts) {
  return Object.entries(counts).map(([name, count]) => `${name} ${number(count)}`).join(', ')
}

// Time

export function clock(time, withSeconds = false) {
  const options = { hour: '2-digit', minute: '2-digit', second: withSeconds ? '2-digit' : undefined, hourCycle: 'h23' }
  return new Date(time).toLocaleTimeString([], options)
}

/** The time of today, or day and time. */
export function moment(at) {
  const time = new Date(at)
  const isToday = time.toDateString() === new Date().toDateString()
  return isToday ? clock(time, true) : `${time.toLocaleDateString()} ${clock(time)}`
}
