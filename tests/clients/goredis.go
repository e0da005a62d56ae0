// goredis HOST:PORT PROTOCOL PREFIX runs one scenario after the other with go-redis; it prints "ok NAME" and stops
// at the first surprise.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

type client struct {
	*redis.Client
	ctx    context.Context
	prefix string
}

func (c client) key(name string) string { return c.prefix + name }

func want(what string, got, expected any) {
	if !reflect.DeepEqual(got, expected) {
		log.Fatalf("%s: got %#v, expected %#v", what, got, expected)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func stringsScenario(c client) {
	want("SET", must(c.Set(c.ctx, c.key("s"), "hello", 100*time.Second).Result()), "OK")
	want("GET", must(c.Get(c.ctx, c.key("s")).Result()), "hello")
	want("INCRBY", must(c.IncrBy(c.ctx, c.key("n"), 5).Result()), int64(5))
	want("MGET", must(c.MGet(c.ctx, c.key("s"), c.key("none")).Result()), []any{"hello", nil})
	if _, err := c.Get(c.ctx, c.key("none")).Result(); !errors.Is(err, redis.Nil) {
		log.Fatalf("GET of nothing: %v", err)
	}
}

func listsScenario(c client) {
	want("RPUSH", must(c.RPush(c.ctx, c.key("l"), "a", "b", "c").Result()), int64(3))
	want("LPUSH", must(c.LPush(c.ctx, c.key("l"), "z").Result()), int64(4))
	want("LRANGE", must(c.LRange(c.ctx, c.key("l"), 0, -1).Result()), []string{"z", "a", "b", "c"})
	want("LTRIM", must(c.LTrim(c.ctx, c.key("l"), -2, -1).Result()), "OK")
	want("RPOP", must(c.RPop(c.ctx, c.key("l")).Result()), "c")
}

func hashesScenario(c client) {
	want("HSET", must(c.HSet(c.ctx, c.key("h"), "name", "x", "n", 1).Result()), int64(2))
	want("HGETALL", must(c.HGetAll(c.ctx, c.key("h")).Result()), map[string]string{"name": "x", "n": "1"})
	want("HINCRBY", must(c.HIncrBy(c.ctx, c.key("h"), "n", 2).Result()), int64(3))
}

func setsScenario(c client) {
	want("SADD", must(c.SAdd(c.ctx, c.key("set"), "1", "2").Result()), int64(2))
	members := must(c.SMembers(c.ctx, c.key("set")).Result())
	sort.Strings(members)
	want("SMEMBERS", members, []string{"1", "2"})
	scores := []redis.Z{{Score: 1, Member: "a"}, {Score: 2.5, Member: "b"}}
	want("ZADD", must(c.ZAdd(c.ctx, c.key("z"), scores...).Result()), int64(2))
	want("ZRANGE", must(c.ZRangeWithScores(c.ctx, c.key("z"), 0, -1).Result()), scores)
}

func streamsScenario(c client) {
	id := must(c.XAdd(c.ctx, &redis.XAddArgs{Stream: c.key("x"), Values: []string{"role", "user"}}).Result())
	entry := redis.XMessage{ID: id, Values: map[string]any{"role": "user"}}
	want("XRANGE", must(c.XRange(c.ctx, c.key("x"), "-", "+").Result()), []redis.XMessage{entry})
}

func pipelineScenario(c client) {
	gets := make([]*redis.StringCmd, 100)
	must(c.Pipelined(c.ctx, func(pipe redis.Pipeliner) error {
		for i := range gets {
			pipe.Set(c.ctx, c.key(fmt.Sprint("p", i)), i, 0)
			gets[i] = pipe.Get(c.ctx, c.key(fmt.Sprint("p", i)))
		}
		return nil
	}))
	for i, get := range gets {
		want("pipelined GET", get.Val(), strconv.Itoa(i))
	}
}

func transactionScenario(c client) {
	var result *redis.IntCmd
	must(c.TxPipelined(c.ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(c.ctx, c.key("t"), 1, 0)
		result = pipe.Incr(c.ctx, c.key("t"))
		return nil
	}))
	want("INCR in MULTI", result.Val(), int64(2))
}

// The first attempt is disturbed by another client's write and must fail, the second one must not.
func watchScenario(c client) {
	attempt := func(disturb bool) error {
		return c.Watch(c.ctx, func(tx *redis.Tx) error {
			value := must(tx.Get(c.ctx, c.key("t")).Int())
			if disturb {
				must(c.Set(c.ctx, c.key("t"), 10, 0).Result())
			}
			_, err := tx.TxPipelined(c.ctx, func(pipe redis.Pipeliner) error {
				pipe.Set(c.ctx, c.key("t"), value+1, 0)
				return nil
			})
			return err
		}, c.key("t"))
	}
	want("EXEC after a conflict", attempt(true), error(redis.TxFailedErr))
	want("EXEC without one", attempt(false), error(nil))
	want("GET after both", must(c.Get(c.ctx, c.key("t")).Result()), "11")
}

func scanScenario(c client) {
	seen := map[string]bool{}
	iter := c.Scan(c.ctx, 0, c.key("p*"), 25).Iterator()
	for iter.Next(c.ctx) {
		seen[iter.Val()] = true
	}
	want("error of SCAN", iter.Err(), error(nil))
	want("keys found", len(seen), 100)
}

func errorsScenario(c client) {
	err := c.LPush(c.ctx, c.key("s"), "x").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		log.Fatalf("LPUSH on a string: %v", err)
	}
	err = c.Do(c.ctx, "NOSUCH").Err()
	if err == nil || !strings.Contains(err.Error(), "unknown command") {
		log.Fatalf("an unknown command: %v", err)
	}
	want("PING", must(c.Ping(c.ctx).Result()), "PONG")
}

func main() {
	log.SetFlags(0)
	protocol := must(strconv.Atoi(os.Args[2]))
	c := client{redis.NewClient(&redis.Options{Addr: os.Args[1], Protocol: protocol}), context.Background(), os.Args[3]}
	defer c.Close()
	scenarios := []struct {
		name string
		run  func(client)
	}{
		{"strings", stringsScenario}, {"lists", listsScenario}, {"hashes", hashesScenario}, {"sets", setsScenario},
		{"streams", streamsScenario}, {"pipeline", pipelineScenario}, {"transaction", transactionScenario},
		{"watch", watchScenario}, {"scan", scanScenario}, {"errors", errorsScenario},
	}
	for _, scenario := range scenarios {
		scenario.run(c)
		fmt.Println("ok", scenario.name)
	}
}
