/** The rows of what shows the node to other programs. */
import { type Directive, one, row } from "./directive.ts"
import { path, wholeNumber } from "./value-types.ts"

export const cmdportDirective = row({
  name: "cmdport",
  operands: { port: one(wholeNumber("PORT", 0, 65_535)) },
  default: "0: chronyc finds the node by chronyd.sock in the state directory alone",
  meaning:
    "UDP port of 127.0.0.1 and ::1 on which chronyc's monitoring commands are answered, those that chronyd answers to anybody there; 323 is chronyc's own, 0 is none.",
  documented: "chrony.conf(5)",
  reload: "restart"
})

export const saveconfigdirDirective = row({
  name: "saveconfigdir",
  operands: { directory: one(path("DIR")) },
  default: "none: `saveconfig` of ntpq is refused",
  meaning:
    "Directory in which `saveconfig NAME` of ntpq, under the control key, writes what the node runs by as an ntp.conf; it never writes over a file.",
  documented: "ntp.conf(5) of the classic ntpd",
  reload: "live"
})

export const CONTROL_DIRECTIVES: readonly Directive[] = [cmdportDirective, saveconfigdirDirective]
