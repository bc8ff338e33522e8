import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import { makePlace, type Place, type RunningCoordinator, startCoordinator } from "./running-coordinator.ts"

interface Coordinators {
  readonly place: Place
  /** @param directory below the place, where its state is */
  readonly start: (directory: string, node: string, args?: ReadonlyArray<string>) => RunningCoordinator
}

/** A place for each test of the file or the describe that asks; what is started there ends with the test. */
export const coordinatorsForEach = (): Coordinators => {
  let place: Place
  let running: RunningCoordinator[]
  beforeEach(() => {
    place = makePlace()
    running = []
  })
  afterEach(async () => {
    await Promise.all(running.map((it) => it.kill()))
    place.remove()
  })
  return {
    get place() {
      return place
    },
    start: (directory, node, args) => {
      const started = startCoordinator(join(place.path, directory), node, args)
      running.push(started)
      return started
    }
  }
}
