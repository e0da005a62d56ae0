/* proxy/handover_state — what the process that runs does while a successor takes over, as a pure table.
 *
 *   state       what goes on                              who accepts  clients            admin port
 *   OFF         no socket, or this process ends           -            as they were       -
 *   LISTENING   nobody is there                           this one     here               here
 *   GREETING    somebody has connected, HELLO is awaited  this one     here               here
 *   OFFERING    listeners go over, READY is awaited       this one     here               closed: the
 * successor binds it GIVING      clients go over, one between two requests the successor  some here, some
 * there  there ENDING      all are there, BYE is awaited             the successor  there            there
 *   GONE        this process ends                         the successor  there            there
 *
 *   event       in state             to         what is done
 *   PEER        LISTENING            GREETING
 *   HELLO       GREETING             OFFERING   close the admin server; send LISTENER …, OFFERED
 *   READY       OFFERING             GIVING     pause the listeners that were taken; the loops send their
 * clients EMPTY       GIVING               ENDING     send DONE. Said when every client has left or was
 * ended, and TAKEN BYE         ENDING               GONE       end LOST, LATE  GREETING             LISTENING
 * close the connection OFFERING             LISTENING  the same, and open the admin server again GIVING
 * LISTENING  the same; what was not TAKEN is served here again, listeners accept LOST        ENDING LISTENING
 * the same: all clients died with the successor, new ones come here LATE        ENDING               GONE the
 * successor has everything; that it does not say so changes nothing STOP        all but GONE         OFF a
 * signal: take back what was not TAKEN, then drain. The successor goes on with what it has
 *
 * A pair that is not in the list changes nothing. LOST is the end of the connection and whatever breaks the
 * protocol, LATE that the other side has not made progress in time. Why no client is lost or served twice:
 * the descriptors of the listeners stay open here until the end, so the kernel's queues live on whoever dies.
 * A parcel is kept until TAKEN, and the successor serves it only after it could send TAKEN; before taking
 * back, this side shuts its receiving half, after which no TAKEN can be sent, and reads those that were. Used
 * by: proxy/handover, and its test, which walks every pair. */
#ifndef PROXY_HANDOVER_STATE_H
#define PROXY_HANDOVER_STATE_H

enum handover_state {
    HANDOVER_OFF,
    HANDOVER_LISTENING,
    HANDOVER_GREETING,
    HANDOVER_OFFERING,
    HANDOVER_GIVING,
    HANDOVER_ENDING,
    HANDOVER_GONE,
    HANDOVER_STATES
};

enum handover_event {
    HEV_PEER,
    HEV_HELLO,
    HEV_READY,
    HEV_EMPTY,
    HEV_BYE,
    HEV_LOST,
    HEV_LATE,
    HEV_STOP,
    HANDOVER_EVENTS
};

enum handover_state handover_next(enum handover_state state, enum handover_event event);
const char *handover_state_name(enum handover_state state);

#endif
