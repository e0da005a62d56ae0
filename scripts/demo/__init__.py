"""make demo: the set of docker-compose.yml on this machine, from Debian's packages, with chat clients that talk to it.

    process   one child process: start, kill, end, its log
    servers   which processes there are: their command lines, and when they are ready
    stack     all of them: ports, folder, configuration, order
    http, resp  how the demo talks to them; nothing but Python's own library
    chat      what people and the assistant say to each other
    load      the chat clients, and the ledger of what was acknowledged
    check     the ledger against a store
    tour      the scripted failover; menu  the one with a person at the keys
"""
