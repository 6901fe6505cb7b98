package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What sources give is raw: TOML's own types from a file, text from a variable or a flag.

func toInt(raw any) (int, error) {
	switch v := raw.(type) {
	case int:
		return v, nil
	case int64:
		return int(v), nil
	case string:
		if n, err := strconv.Atoi(v); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("it must be a whole number")
}

func toBool(raw any) (bool, error) {
	switch v := raw.(type) {
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return false, errors.New("it must be true or false")
}

func toDuration(raw any) (time.Duration, error) {
	switch v := raw.(type) {
	case time.Duration:
		return v, nil
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return d, nil
		}
	}
	return 0, errors.New(`it must be a duration such as "150ms" or "2s"`)
}

func toList(raw any) ([]string, error) {
	out := []string{}
	switch v := raw.(type) {
	case []string:
		return v, nil
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, errors.New("it must be a list of strings")
			}
			out = append(out, s)
		}
		return out, nil
	case string: // of a variable
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
		return out, nil
	}
	return nil, errors.New("it must be a list of strings")
}

func toTable(raw any) (map[string]string, error) {
	out := map[string]string{}
	switch v := raw.(type) {
	case map[string]string:
		return v, nil
	case map[string]any:
		for name, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("the value of %s must be a string, in quotes", name)
			}
			out[name] = s
		}
		return out, nil
	case string: // of a variable
		for s := range strings.SplitSeq(v, ",") {
			name, value, ok := strings.Cut(s, "=")
			if !ok {
				return nil, errors.New("it must be a list such as A=1,B=2")
			}
			out[strings.TrimSpace(name)] = value
		}
		return out, nil
	}
	return nil, errors.New(`it must be a table of strings, such as { REGISTRY = "ghcr.io/acme" }`)
}
