package ntp

import "fmt"

// reference is a reference identifier as people read it: letters for stratum 1, an address or a hash above.
func reference(bytes []byte, stratum int) string {
	if stratum == 1 {
		text := ""
		for _, letter := range bytes {
			if letter >= 32 && letter < 127 {
				text += string(rune(letter))
			}
		}
		return text
	}
	return fmt.Sprintf("%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3])
}
