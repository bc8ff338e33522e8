/** What an operator does here: who that is, and each act behind a dialog that says what comes of it. */
import { act, ask, setToken } from "/node-api.js"

const element = (id) => document.getElementById(id)

let operator = null
let changed = () => {}

export const mayAct = () => operator !== null

const say = (text) => {
  element("act-state").textContent = text
}

/** Asks the node who this is. Buttons are there for operators alone; the node asks for the token at each act anyway. */
export const learnOperator = async () => {
  const found = await ask("/api/v1/operator").catch(() => ({ operator: null, mayAct: false }))
  operator = found.operator
  element("operator").hidden = operator === null
  element("operator").textContent = operator === null ? "" : `operator ${operator}`
  element("sign-in").hidden = operator !== null || !found.mayAct
  element("sign-out").hidden = operator === null
  for (const acts of document.querySelectorAll("main .acts")) acts.hidden = operator === null
  changed()
}

const words = {
  "/keys/rotate": "Rotate",
  "/keys/revoke": "Revoke",
  "/cluster/drain": "Drain",
  "/cluster/undrain": "Undrain"
}

const nameOf = (path, body) => {
  const { kind, generation, set, node } = body
  const what =
    kind !== undefined
      ? `${kind === "nts" ? "NTS" : kind} keys`
      : node !== undefined
        ? `node ${node}`
        : generation !== undefined
          ? `generation ${generation}`
          : `set ${set}`
  return `${words[path]} ${what}`
}

const confirm = async (title, sentences, takesReason) => {
  const dialog = element("confirm")
  element("confirm-title").textContent = `${title}?`
  element("confirm-words").replaceChildren(
    ...sentences.map((sentence) => {
      const item = document.createElement("li")
      item.textContent = sentence
      return item
    })
  )
  element("confirm-why").hidden = !takesReason
  element("reason").value = ""
  element("confirm-act").textContent = title
  dialog.returnValue = "cancel"
  dialog.showModal()
  element("confirm-cancel").focus()
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }))
  return dialog.returnValue === "act"
}

/** Asks for confirmation, then acts, then says what the node said. */
export const propose = async (path, body) => {
  const title = nameOf(path, body)
  try {
    const { consequence } = await ask(`/api/v1/consequence?${new URLSearchParams({ act: path, ...body })}`)
    const takesReason = path === "/keys/revoke" || path === "/cluster/drain"
    if (!(await confirm(title, consequence, takesReason))) return
    const reason = element("reason").value.trim()
    const { events } = await act(path, reason === "" || !takesReason ? body : { ...body, reason })
    say(
      events.length === 0
        ? `${title}: nothing to do, it is so already`
        : `${title}: recorded ${events.map(({ type, subject, version }) => `${type} (${subject} ${version})`).join(", ")}`
    )
  } catch (error) {
    say(`${title}: not done: ${error.message}`)
  }
  changed()
}

/** A button of a table that proposes an act. */
export const proposal = (path, body) => ({
  label: `${words[path]}…`,
  name: nameOf(path, body),
  deed: () => void propose(path, body)
})

/** @param whenChanged called after whatever may have changed what is shown @param again called when the token is another */
export const startActs = (whenChanged, again) => {
  changed = whenChanged
  element("rotate-nts").addEventListener("click", () => void propose("/keys/rotate", { kind: "nts" }))
  element("rotate-symmetric").addEventListener("click", () => void propose("/keys/rotate", { kind: "symmetric" }))
  let isSigningIn = false
  element("sign-in").addEventListener("click", () => {
    isSigningIn = true
    element("access").hidden = false
    element("access-words").textContent = "Operator's token"
    element("token").focus()
  })
  element("sign-out").addEventListener("click", () => {
    setToken(undefined)
    void learnOperator()
    again()
  })
  element("access").addEventListener("submit", (event) => {
    event.preventDefault()
    setToken(element("token").value)
    element("token").value = ""
    element("access").hidden = true
    void learnOperator().then(() => {
      if (isSigningIn && !mayAct()) say("This token is no operator's: you can look, and do nothing")
      isSigningIn = false
    })
    again()
  })
}
