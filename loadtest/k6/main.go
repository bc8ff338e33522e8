// Command k6 is Grafana's k6 with `k6/x/ntp` built in. `npm run loadtest:build` makes it.
package main

import (
	"go.k6.io/k6/v2/cmd"

	_ "meridian/loadtest/ntp"
)

func main() { cmd.Execute() }
