package daemon

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// openapi answers with the description of the API, which is made from the route
// table and the api types, and so cannot fall behind them.
func (s *server) openapi(w http.ResponseWriter, _ *http.Request) {
	write(w, describe(s.routes, s.deps.Version))
}

type object = map[string]any

// describe returns an OpenAPI 3.1 document.
func describe(routes []route, version string) object {
	schemas := schemas{}
	paths := object{}
	for _, r := range routes {
		path := wildcard.ReplaceAllString(r.path, "{$1}")
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(r.method)] = schemas.operation(r)
	}
	schemas.of(reflect.TypeFor[api.ErrorBody]())
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "imgspecd",
			"version":     version,
			"description": "The API of imgspecd's daemon, on a unix socket that only its user may open.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths":      paths,
		"components": object{"schemas": map[string]any(schemas)},
	}
}

var wildcard = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

// schemas collects the types on the way, by name.
type schemas map[string]any

// operation describes one route.
func (s schemas) operation(r route) object {
	params := []any{}
	for _, m := range wildcard.FindAllStringSubmatch(r.path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range r.query {
		params = append(params, object{"name": p.name, "in": "query", "description": p.help, "schema": object{"type": p.kind}})
	}
	ok := object{"description": "success"}
	switch {
	case r.out != nil && r.content == "":
		ok["content"] = object{"application/json": object{"schema": s.of(r.out)}}
	case r.out != nil: // a stream of values
		ok["content"] = object{r.content: object{"schema": s.of(r.out)}}
	case r.content == "application/json":
		ok["content"] = object{r.content: object{"schema": object{"type": "object"}}}
	case r.content != "":
		ok["content"] = object{r.content: object{"schema": object{"type": "string"}}}
	}
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	op := object{
		"summary":     r.summary,
		"operationId": operationID(r),
		"responses": object{
			strconv.Itoa(status): ok,
			"default": object{
				"description": "failure; the status follows from the code",
				"content":     object{"application/json": object{"schema": s.of(reflect.TypeFor[api.ErrorBody]())}},
			},
		},
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if r.in != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(r.in)}}}
	}
	return op
}

// operationID is e.g. get_builds_id_log.
func operationID(r route) string {
	path := strings.TrimPrefix(strings.TrimPrefix(r.path, "/"), api.Version+"/")
	return strings.ToLower(r.method) + "_" + strings.Trim(regexp.MustCompile(`\W+`).ReplaceAllString(path, "_"), "_")
}

// enums are the named strings with a closed set of values.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[api.State](): {
		string(api.Waiting), string(api.Queued), string(api.Building), string(api.Publishing),
		string(api.Ready), string(api.Failed), string(api.Superseded), string(api.Canceled), string(api.Listed),
	},
	reflect.TypeFor[api.Code]():  sentCodes(),
	reflect.TypeFor[api.Level](): {string(api.LevelOK), string(api.LevelWarn), string(api.LevelFail)},
}

func sentCodes() []string {
	var out []string
	for c := range maps.Keys(statuses) {
		out = append(out, string(c))
	}
	slices.Sort(out)
	return out
}

// of returns t's schema; named structs and enums are referred to.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"description": "any JSON value"}
	case enums[t] != nil:
		s[t.Name()] = object{"type": "string", "enum": enums[t]}
		return ref(t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		if _, seen := s[t.Name()]; !seen {
			s[t.Name()] = nil // for types that contain themselves
			s[t.Name()] = s.fields(t)
		}
		return ref(t)
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	}
	panic("daemon: the API has no type for " + t.String())
}

func ref(t reflect.Type) object { return object{"$ref": "#/components/schemas/" + t.Name()} }

// fields describes a struct. A pointer that is always there may be null.
func (s schemas) fields(t reflect.Type) object {
	props, required := object{}, []string{}
	for f := range t.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := s.of(f.Type)
		optional := strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero")
		if !optional {
			required = append(required, name)
			if f.Type.Kind() == reflect.Pointer {
				schema = object{"anyOf": []any{schema, object{"type": "null"}}}
			}
		}
		props[name] = schema
	}
	return object{"type": "object", "properties": props, "required": required}
}
