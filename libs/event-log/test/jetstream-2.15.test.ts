import { jetstreamSuite } from "./jetstream-suite.ts"

jetstreamSuite("2.15")
