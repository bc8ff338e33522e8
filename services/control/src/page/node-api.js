/** Asking the node, with the token that this tab has. */

const held = () => sessionStorage.getItem("token")

export const setToken = (token) =>
  token === undefined ? sessionStorage.removeItem("token") : sessionStorage.setItem("token", token)

export const headers = () => (held() === null ? {} : { authorization: `Bearer ${held()}` })

const read = async (response) => {
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error?.message ?? `refused with ${response.status}`)
  return answer
}

export const ask = async (path) => read(await fetch(path, { headers: headers() }))

/** Carries out an act of an operator. */
export const act = async (path, body) =>
  read(
    await fetch(`/api/v1${path}`, {
      method: "POST",
      headers: { ...headers(), "content-type": "application/json" },
      body: JSON.stringify(body)
    })
  )
