/** The client's side: associations with servers, peers and broadcasts, and what they do. */
export {
  type AssociationOptions,
  type Endpoint,
  type Moment,
  type SystemVariables,
  defaultAssociationOptions,
  isSymmetric
} from "./association-options.ts"
export {
  type AssociationAuthentication,
  networkTimeSecurity,
  symmetricKey,
  unauthenticated
} from "./association-authentication.ts"
export { AutokeySource } from "./autokey-source.ts"
export { AssociationSet, defaultSetOptions } from "./association-set.ts"
export type { AssociationAction, DropReason, Sample, Send } from "./association-action.ts"
export type { Associated, Demobilised, Mobilised, SetAction } from "./association-set-actions.ts"
