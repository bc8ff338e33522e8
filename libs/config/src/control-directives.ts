/** The rows of what shows the node to other programs. */
import { type Directive, one, row } from "./directive.ts"
import { path, wholeNumber } from "./value-types.ts"

export const cmdportDirective = row({
  name: "cmdport",
  operands: { port: one(wholeNumber("PORT", 0, 65_535)) },
  default: "0: chronyc reaches the node only by chronyd.sock in the state directory",
  meaning:
    "UDP port of 127.0.0.1 and ::1 for chronyc's monitoring commands, those that chronyd answers there to anybody. chronyc asks at 323; 0 is none.",
  documented: "chrony.conf(5)",
  reload: "restart"
})

export const saveconfigdirDirective = row({
  name: "saveconfigdir",
  operands: { directory: one(path("DIR")) },
  default: "none: `saveconfig` of ntpq is refused",
  meaning:
    "Directory in which ntpq's `saveconfig NAME`, under the control key, writes the configuration in force as an ntp.conf. It never overwrites a file.",
  documented: "ntp.conf(5) of the classic ntpd",
  reload: "live"
})

export const CONTROL_DIRECTIVES: readonly Directive[] = [cmdportDirective, saveconfigdirDirective]
