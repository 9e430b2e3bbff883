"""``lendwatt demo``: a city of simulated banks, and one rental told step by step.

It is ``lendwatt up`` and, beside it, people with phones and banks with batteries. Everything
goes through what anybody can reach: HTTP and event streams for the people, MQTT for the banks,
the payment provider's page for the money. Nothing here touches the database.
"""
