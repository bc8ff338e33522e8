/**
 * Nx targets inferred from the workspace's own layout: a package with a `test` folder gets a `test` target.
 * Test results are never cached: many suites drive real daemons and a compiled addon, whose state Nx cannot hash.
 */
import { existsSync, globSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import type { CreateNodesV2 as CreateNodes } from "nx/src/devkit-exports.js"

/** Where each suite leaves vitest's JSON report, by its package's folder name; relative to the workspace. */
export const REPORTS = ".meridian/tests"

const PACKAGES = "{libs,services}/*/package.json"

const hasTests = (workspaceRoot: string, file: string) => existsSync(join(workspaceRoot, dirname(file), "test"))

/** The package.json files of the packages that have a suite. */
export const suites = (workspaceRoot: string): ReadonlyArray<string> =>
  globSync(PACKAGES, { cwd: workspaceRoot }).filter((file) => hasTests(workspaceRoot, file))

export const createNodes: CreateNodes = [
  PACKAGES,
  (files, _options, { workspaceRoot }) =>
    files.map((file) => {
      const root = dirname(file)
      const layer = root.startsWith("libs") ? "layer:lib" : "layer:service"
      const report = `../../${REPORTS}/${basename(root)}.json`
      const test = {
        command: `$MERIDIAN_APART vitest run --reporter=default --reporter=json --outputFile.json=${report}`,
        options: { cwd: "{projectRoot}" },
        cache: false
      }
      return [
        file,
        { projects: { [root]: { root, tags: [layer], targets: hasTests(workspaceRoot, file) ? { test } : {} } } }
      ]
    })
]
