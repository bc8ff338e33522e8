/** Reference clocks as ports: PPS and PHC devices, shared memory, sockets. */
export {
  type ClockSocketPort,
  type PhcPort,
  type PhcReading,
  type PpsPort,
  type Pulse,
  ReferenceClockError,
  type ShmPort
} from "./reference-clock-ports.ts"
export { openPhcDevice, openPpsDevice } from "./clock-devices.ts"
export { openClockSocket } from "./clock-socket.ts"
export { openShmSegment } from "./shm-segment.ts"
