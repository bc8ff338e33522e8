/** What the logs are called: part of what each event's MAC is made over, so that none can be moved from one log to another. */

/** The cluster's, a stream in NATS. */
export const STREAM = "MERIDIAN"
/** That of a node on its own. */
export const OWN_LOG = "embedded"
