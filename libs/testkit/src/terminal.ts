/** Programs that draw on a terminal, on one of their own. It is Python that makes it, which the tests with real peers need besides. */
import { spawnSync } from "node:child_process"

/** Waits for a text, then resizes, types or signals. */
export interface TerminalStep {
  readonly wait: string
  /** Columns and rows. */
  readonly resize?: readonly [number, number]
  readonly type?: string
  readonly signal?: number
}

interface OnTerminal {
  /** All that was drawn, up to each step's text, and after the last one's. */
  readonly parts: readonly string[]
  readonly code: number
  /** Whether the terminal's modes are those that it had. */
  readonly restored: boolean
}

const TERMINAL = `
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
steps = json.loads(sys.argv[1])
def size(columns, rows): return struct.pack("HHHH", rows, columns, 0, 0)
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, size(80, 24))
    os.execvp(sys.argv[2], sys.argv[2:])
before = termios.tcgetattr(fd)[3]
out, parts, until = b"", [], time.time() + 60
def read():
    global out
    ready, _, _ = select.select([fd], [], [], 0.2)
    if not ready: return True
    try: data = os.read(fd, 65536)
    except OSError: return False
    out += data
    return data != b""
for step in steps:
    while step["wait"].encode() not in out and time.time() < until and read(): pass
    parts.append(out.decode("utf8", "replace")); out = b""
    if "resize" in step: fcntl.ioctl(fd, termios.TIOCSWINSZ, size(*step["resize"]))
    if "type" in step: os.write(fd, step["type"].encode())
    if "signal" in step: os.kill(pid, step["signal"])
mode = None
while time.time() < until:
    try: mode = termios.tcgetattr(fd)[3]
    except termios.error: pass
    if not read(): break
parts.append(out.decode("utf8", "replace"))
print(json.dumps({"parts": parts, "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "restored": mode == before}))
`

export const hasTerminals = (): boolean => spawnSync("python3", ["-c", "import pty"]).status === 0

/**
 * Runs a program on a terminal of 80 columns and 24 rows until it ends; a step whose text does not come within a minute is gone past.
 * @throws Error with what the terminal's own program says
 */
export const onTerminal = (
  program: readonly string[],
  steps: readonly TerminalStep[],
  env: NodeJS.ProcessEnv
): OnTerminal => {
  const args = ["-c", TERMINAL, JSON.stringify(steps), ...program]
  const { stdout, stderr } = spawnSync("python3", args, { encoding: "utf8", env })
  if (stderr !== "") throw new Error(stderr)
  return JSON.parse(stdout) as OnTerminal
}
