/**
 * Nx targets inferred from the workspace's own layout: a package with a `test` folder gets a `test` target.
 * Test results are never cached: many suites drive real daemons and a compiled addon, whose state Nx cannot hash.
 */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import type { CreateNodesV2 as CreateNodes } from "nx/src/devkit-exports.js"

export const createNodes: CreateNodes = [
  "{libs,services}/*/package.json",
  (files, _options, { workspaceRoot }) =>
    files.map((file) => {
      const root = dirname(file)
      const layer = root.startsWith("libs") ? "layer:lib" : "layer:service"
      const test = {
        command: "vitest run",
        options: { cwd: "{projectRoot}" },
        cache: false
      }
      const targets = existsSync(join(workspaceRoot, root, "test")) ? { test } : {}
      return [file, { projects: { [root]: { root, tags: [layer], targets } } }]
    })
]
