// compat HOST PORT PROTOCOL PREFIX STEPS with go-redis: a line of JSON for each step of steps.json, its reply.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// plain is the reply as JSON can say it.
func plain(reply any) any {
	switch r := reply.(type) {
	case error:
		return map[string]any{"error": r.Error()}
	case []any:
		list := make([]any, len(r))
		for i := range r {
			list[i] = plain(r[i])
		}
		return list
	case map[any]any:
		dict := map[string]any{}
		for key, value := range r {
			dict[fmt.Sprint(key)] = plain(value)
		}
		return dict
	}
	return reply
}

func main() {
	protocol, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	var file struct{ Steps [][]string }
	text, err := os.ReadFile(os.Args[5])
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: os.Args[1] + ":" + os.Args[2], Protocol: protocol, MaxRetries: -1})
	conn := client.Conn() // MULTI and WATCH belong to one
	for _, step := range file.Steps {
		words := make([]any, len(step))
		for i, word := range step {
			words[i] = strings.ReplaceAll(word, "{}", os.Args[4])
		}
		reply, err := conn.Do(ctx, words...).Result()
		if errors.Is(err, redis.Nil) {
			reply = nil
		} else if err != nil {
			reply = err
		}
		line, err := json.Marshal(plain(reply))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(line))
	}
}
