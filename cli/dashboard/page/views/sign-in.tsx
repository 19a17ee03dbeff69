/** The way in for whoever has no session: a link from the node, or a token. */
import { useState } from "preact/hooks"
import { hasEnded, signIn } from "../api.ts"
import { sent } from "../ui.tsx"

export function SignIn() {
  const [token, setToken] = useState("")
  const [problem, setProblem] = useState(
    location.hash === "#/used"
      ? "That link was used before, is older than five minutes, or another manager's."
      : hasEnded.value
        ? "You were signed out: by yourself, after an hour without use or twelve in all, or because your token was taken back."
        : ""
  )
  return (
    <main class="sign-in">
      <img src="/dashboard/assets/icon.svg" alt="" width="56" height="56" />
      <h1>Troupe</h1>
      <p>
        On the node, <code>troupe dashboard</code> prints a link that signs you in.
      </p>
      <form onSubmit={sent(() => void signIn(token.trim()).then((why) => setProblem(why ?? "")))}>
        <label>
          <span>Or a token</span>
          <input
            type="password"
            autocomplete="off"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={token.trim() === ""}>
          Sign in
        </button>
      </form>
      <p role="alert" class="error">
        {problem}
      </p>
    </main>
  )
}
