// Who acts, for the audit: the name in a field, which this browser keeps for the next time.

const KEPT = 'pushbridge.actor'

/** The name in a field, in the characters that a header may have; `unnamed` where nobody wrote one. */
export function actorIn(field, unnamed = 'console') {
  return field.value.replace(/[^\x20-\x7e\xa1-\xff]/g, '?').trim() || unnamed
}

// Browsers may keep nothing, or refuse to.

export function remember(name) {
  try {
    localStorage.setItem(KEPT, name)
  } catch {
    // asked again the next time
  }
}

export function remembered() {
  try {
    return localStorage.getItem(KEPT) ?? ''
  } catch {
    return ''
  }
}
