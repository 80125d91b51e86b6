"""How it is learned: minibatch schemes and the descent."""
