%% The same work as actors.ts, said in Erlang/OTP: one figure per line, `name value`.
%%
%% Written as an Erlang programmer would: bare processes for tells, gen_server:call for asks.
-module(actors).
-behaviour(gen_server).
-export([main/0, init/1, handle_call/3, handle_cast/2]).

main() ->
    tell_pair(100000),
    say(tell_pair, tell_pair(1000000)),
    say(tell_back, tell_back(500000)),
    say(fan_in, fan_in(1000, 1000)),
    {Rate, P50, P99} = ask(100000),
    say(ask, Rate),
    say(ask_p50_us, P50),
    say(ask_p99_us, P99),
    {SpawnMs, Bytes} = spawning(100000),
    say(spawn_ms, SpawnMs),
    say(spawn_bytes, Bytes),
    halt(0).

say(Name, Value) -> io:format("~s ~.3f~n", [Name, float(Value)]).

seconds(Run) ->
    Began = erlang:monotonic_time(nanosecond),
    Run(),
    (erlang:monotonic_time(nanosecond) - Began) / 1.0e9.

%% Counts what it is told and says so once it has heard `Count` messages.
counter(Parent, Count) -> counter(Parent, Count, 0, 0).
counter(Parent, Count, Count, _Sum) -> Parent ! {counted, self()};
counter(Parent, Count, Heard, Sum) ->
    receive {add, Amount} -> counter(Parent, Count, Heard + 1, Sum + Amount) end.

tell_all(_To, 0) -> ok;
tell_all(To, Count) -> To ! {add, 1}, tell_all(To, Count - 1).

tell_pair(Count) ->
    Parent = self(),
    Seconds = seconds(fun() ->
        Counter = spawn(fun() -> counter(Parent, Count) end),
        spawn(fun() -> tell_all(Counter, Count) end),
        receive {counted, Counter} -> ok end
    end),
    Count / Seconds.

back(Parent, 0) -> Parent ! back_done;
back(Parent, Left) -> receive {ball, From} -> From ! {ball, self()}, back(Parent, Left - 1) end.

tell_back(Count) ->
    Parent = self(),
    Seconds = seconds(fun() ->
        A = spawn(fun() -> back(Parent, Count div 2) end),
        B = spawn(fun() -> back(Parent, Count div 2) end),
        A ! {ball, B},
        receive back_done -> ok end,
        receive back_done -> ok end
    end),
    Count / Seconds.

fan_in(Senders, Each) ->
    Parent = self(),
    Count = Senders * Each,
    Counter = spawn(fun() -> counter(Parent, Count) end),
    Ready = [spawn(fun() -> receive go -> tell_all(Counter, Each) end end) || _ <- lists:seq(1, Senders)],
    Seconds = seconds(fun() ->
        [Sender ! go || Sender <- Ready],
        receive {counted, Counter} -> ok end
    end),
    Count / Seconds.

init(State) -> {ok, State}.
handle_call(get, _From, Sum) -> {reply, {sum, Sum}, Sum}.
handle_cast({add, Amount}, Sum) -> {noreply, Sum + Amount}.

ask(Count) ->
    {ok, Server} = gen_server:start(?MODULE, 0, []),
    ask_each(Server, 10000, []),
    Seconds = seconds(fun() -> ask_plain(Server, Count) end),
    Times = lists:sort(ask_each(Server, Count, [])),
    gen_server:stop(Server),
    {Count / Seconds, lists:nth(Count div 2, Times) / 1000, lists:nth(Count * 99 div 100, Times) / 1000}.

ask_plain(_Server, 0) -> ok;
ask_plain(Server, Left) -> {sum, _} = gen_server:call(Server, get), ask_plain(Server, Left - 1).

ask_each(_Server, 0, Times) -> Times;
ask_each(Server, Left, Times) ->
    Began = erlang:monotonic_time(nanosecond),
    {sum, _} = gen_server:call(Server, get),
    ask_each(Server, Left - 1, [erlang:monotonic_time(nanosecond) - Began | Times]).

idle(State) -> receive {add, Amount} -> idle(State + Amount); stop -> ok end.

spawning(Count) ->
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Began = erlang:monotonic_time(nanosecond),
    Idle = [spawn(fun() -> idle(0) end) || _ <- lists:seq(1, Count)],
    Ms = (erlang:monotonic_time(nanosecond) - Began) / 1.0e6,
    Bytes = (erlang:memory(total) - Before) / Count,
    [Process ! stop || Process <- Idle],
    {Ms, Bytes}.
